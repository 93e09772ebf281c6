package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// prepare builds the program and makes the files to be served.
func (b *bench) prepare(ctx context.Context) error {
	if _, err := command(ctx, ".", "go", "build", "-o", b.binary, "seamount/cmd/seamount"); err != nil {
		return err
	}
	err := errors.Join(os.MkdirAll(b.served+"/many", 0o755), makeTree(b.tree, b.cfg.files))
	if err == nil {
		err = errors.Join(b.makeMany(), b.makeStats())
	}
	if err != nil {
		return err
	}
	repo := b.served + "/repo"
	for _, c := range [][]string{
		{"tar", "cf", b.archive, "-C", b.tree, "."},
		{"cp", "-r", b.tree, b.served + "/tree"},
		{"cp", "-r", b.tree, repo},
		{"git", "-C", repo, "init", "-q"},
		{"git", "-C", repo, "add", "."},
		{"git", "-C", repo, "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "-qm", "all"},
		{"git", "clone", "-q", "--bare", repo, b.origin},
		{"cp", "-p", repo + "/.git/index", b.dir + "/index"},
	} {
		if _, err := command(ctx, "/", c[0], c[1:]...); err != nil {
			return err
		}
	}
	var find, grep error
	b.found, find = command(ctx, b.tree, "sh", "-c", findCommand)
	b.grepped, grep = command(ctx, b.tree, "sh", "-c", grepCommand)
	return errors.Join(find, grep)
}

// makeTree makes files of up to 20 KiB, twenty to a directory, each of which has
// a symbolic link too; every other one leads nowhere.
func makeTree(root string, files int) error {
	for i := range files {
		dir := filepath.Join(root, fmt.Sprintf("d%d/e%d", i/200, i/20))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		data := bytes.Repeat(fmt.Appendf(nil, "file %d\n", i), 1+i%2000)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.txt", i)), data, 0o644); err != nil {
			return err
		}
		var err error
		switch i % 40 {
		case 0:
			err = os.Symlink(fmt.Sprintf("f%d.txt", i), dir+"/a-link")
		case 20:
			err = os.Symlink("nowhere", dir+"/a-link")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// manyName is in the order in which ls sorts.
func manyName(i int) string { return fmt.Sprintf("entry%07d", i) }

func (b *bench) makeMany() error {
	for i := range b.cfg.entries {
		if err := os.WriteFile(filepath.Join(b.served, "many", manyName(i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func statName(i int) string { return fmt.Sprintf("stats/s%d/file", i) }

func (b *bench) makeStats() error {
	for i := range stats {
		path := filepath.Join(b.served, statName(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}
