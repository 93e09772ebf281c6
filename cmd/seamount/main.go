// Command seamount mounts a directory of an SSH server.
//
// This package wires the layers together and has one file for each verb:
//
//	mount.go     seamount host:dir mountpoint: the order of things
//	session.go   from the connection to the mounted tree, and the clean end
//	unmount.go   demo.go   version.go   help.go
//
// What can be said without a server is in internal/options (what is written
// after -o), internal/mountpoint (is the place fit for a mount) and
// internal/daemon (going into the background).
//
// # Order
//
// A mount reads its arguments, looks at the mountpoint, goes into the
// background, connects, mounts and then tells its parent, in this order:
// nobody types a password for a mount that cannot be made, and the shell's
// prompt comes back when the files are there.
//
// # End
//
// However a mount ends (fusermount3 -u, umount, seamount unmount, SIGINT,
// SIGTERM), session.wait brings what was written to the server before the
// process ends. A second signal gives up on that.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // nothing was mounted, or the verb failed
	exitUnsafe = 2 // the mount has ended, and something did not reach the server
)

// app is what the verbs share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

func main() {
	a := &app{os.Stdin, os.Stdout, os.Stderr}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// codeError is an error that ends the process with an exit code of its own. A
// nil err has been told already.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return fmt.Sprint(e.err) }
func (e *codeError) Unwrap() error { return e.err }

// run is the command: it returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand(args)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	code := exitFailed
	var ce *codeError
	if errors.As(err, &ce) {
		code, err = ce.code, ce.err
	} else if err == nil {
		code = exitOK
	}
	if err != nil {
		// An error is one line, also where several are joined to one.
		fmt.Fprintln(a.stderr, "seamount:", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	}
	return code
}

// rootCommand is the mount, with the verbs below it where the first argument
// is one: only there is a name a verb, as everywhere else it may be that of a
// mountpoint.
func (a *app) rootCommand(args []string) *cobra.Command {
	root := a.mountCommand()
	verbs := []*cobra.Command{a.unmountCommand(), a.demoCommand(), a.versionCommand(), optionsTopic()}
	for _, v := range verbs {
		if len(args) > 0 && (args[0] == v.Name() || v.HasAlias(args[0]) || isCobraVerb(args[0])) {
			root.AddCommand(verbs...)
			return root
		}
	}
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// isCobraVerb tells of the verbs that come with cobra.
func isCobraVerb(name string) bool {
	switch name {
	case "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return true
	}
	return false
}
