package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// marker is the line of the report's file after which runs go, newest first.
const marker = "<!-- runs, newest first -->\n"

// errNoMarker says that a file is not one for reports.
var errNoMarker = errors.New("the file has no line " + strings.TrimSpace(marker))

// heading says when and of what a run is. It is made with the program that is
// measured: during a long run the tree may have moved on.
func heading(ctx context.Context) string {
	return fmt.Sprintf("## %s, commit %s", time.Now().UTC().Format("2006-01-02 15:04"), commit(ctx))
}

// appendReport adds the tables of one run to the file that the configuration
// names, with what is needed to compare them with others.
func appendReport(ctx context.Context, c config, heading, tables string) error {
	old, err := os.ReadFile(c.append)
	if err != nil {
		return err
	}
	run := fmt.Sprintf("%s\n\n%s.\n\n%s\n", heading, machine(ctx), strings.TrimSpace(tables))
	text, err := insertRun(string(old), run)
	if err != nil {
		return fmt.Errorf("%s: %w", c.append, err)
	}
	return os.WriteFile(c.append, []byte(text), 0o644)
}

func insertRun(old, run string) (string, error) {
	before, after, ok := strings.Cut(old, marker)
	if !ok {
		return "", errNoMarker
	}
	return before + marker + "\n" + run + after, nil
}

// commit names what was measured.
func commit(ctx context.Context) string {
	hash, err := command(ctx, ".", "git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--abbrev=8")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(hash)
}

// machine is one line about where it was measured.
func machine(ctx context.Context) string {
	facts := []string{fmt.Sprintf("%s, %d cores, %s", cpuModel(), runtime.NumCPU(), memory())}
	for _, c := range [][]string{{"uname", "-sr"}, {"sshfs", "--version"}, {"ssh", "-V"}, {"rsync", "--version"}, {"git", "--version"}} {
		out, err := command(ctx, "/", "sh", "-c", strings.Join(c, " ")+" 2>&1")
		if err != nil {
			continue
		}
		if line := firstMatching(out, c[0]); line != "" {
			facts = append(facts, line)
		}
	}
	return strings.Join(facts, "; ")
}

// firstMatching is the first line that has word in it, or the first of all.
func firstMatching(out, word string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(strings.ToLower(line), word) && !strings.HasPrefix(line, "fuse") {
			return strings.TrimSpace(line)
		}
	}
	first, _, _ := strings.Cut(out, "\n")
	return strings.TrimSpace(first)
}

func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

func memory() string { return procField("/proc/meminfo", "MemTotal") }

// procField is the value of the first line "name : value".
func procField(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
