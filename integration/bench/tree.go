package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ssh returns a function that runs a shell command on the server.
func (b *bench) ssh(script string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := b.sshOutput(ctx, script)
		return err
	}
}

func (b *bench) sshOutput(ctx context.Context, script string) (string, error) {
	return command(ctx, "/", "ssh", "-F", b.sshConfig, "benchserver", script)
}

// clear makes sure that there is no name in what is served.
func (b *bench) clear(name string) func(context.Context) error {
	return func(context.Context) error { return os.RemoveAll(b.served + "/" + name) }
}

func (b *bench) clearLocal(context.Context) error { return os.RemoveAll(b.local) }

// sameAsTree verifies a copy of the tree on the server.
func (b *bench) sameAsTree(name string) func(context.Context) error {
	return func(ctx context.Context) error { return sameFiles(ctx, b.tree, b.served+"/"+name) }
}

func sameFiles(ctx context.Context, want, got string) error {
	out, err := command(ctx, "/", "diff", "-r", "--no-dereference", want, got)
	if err != nil {
		return fmt.Errorf("%w%s", err, out)
	}
	return nil
}

// sameLines compares what a program printed, in any order.
func sameLines(got, want string) error {
	g, w := slices.Sorted(strings.Lines(got)), slices.Sorted(strings.Lines(want))
	if !slices.Equal(g, w) {
		return fmt.Errorf("%d lines that are not the %d of the server", len(g), len(w))
	}
	return nil
}

// The size has find ask for each file; grep reads every file to its end.
const (
	findCommand = "find . -type f -size +0"
	grepCommand = "grep -r -c '17$' ."
)

func (b *bench) find(ctx context.Context, mnt string) error {
	out, err := command(ctx, mnt+"/tree", "sh", "-c", findCommand)
	return errors.Join(err, sameLines(out, b.found))
}

func (b *bench) plainFind(ctx context.Context) error {
	out, err := b.sshOutput(ctx, "cd "+b.served+"/tree && "+findCommand)
	return errors.Join(err, sameLines(out, b.found))
}

func (b *bench) grep(ctx context.Context, mnt string) error {
	out, err := command(ctx, mnt+"/tree", "sh", "-c", grepCommand)
	return errors.Join(err, sameLines(out, b.grepped))
}

func (b *bench) plainGrep(ctx context.Context) error {
	out, err := b.sshOutput(ctx, "cd "+b.served+"/tree && "+grepCommand)
	return errors.Join(err, sameLines(out, b.grepped))
}

func (b *bench) copyOut(ctx context.Context, mnt string) error {
	_, err := command(ctx, "/", "cp", "-r", mnt+"/tree", b.local)
	return err
}

func (b *bench) plainCopyOut(ctx context.Context) error {
	if err := os.Mkdir(b.local, 0o755); err != nil {
		return err
	}
	return b.pipe(ctx, "ssh -F "+b.sshConfig+" benchserver tar cf - -C "+b.served+"/tree . | tar xf - -C "+b.local)
}

// pipe runs a pipe of the shell.
func (b *bench) pipe(ctx context.Context, script string) error {
	_, err := command(ctx, "/", "bash", "-o", "pipefail", "-c", script)
	return err
}

func (b *bench) checkCopyOut(ctx context.Context) error { return sameFiles(ctx, b.tree, b.local) }

func (b *bench) copyIn(ctx context.Context, mnt string) error {
	_, err := command(ctx, "/", "cp", "-r", b.tree, mnt+"/in")
	return err
}

// plainTar brings the tree to the server as tar does.
func (b *bench) plainTar(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		to := b.served + "/" + name
		return b.pipe(ctx, "tar cf - -C "+b.tree+" . | ssh -F "+b.sshConfig+" benchserver 'mkdir "+to+" && tar xf - -C "+to+"'")
	}
}

func (b *bench) untar(ctx context.Context, mnt string) error {
	if err := os.Mkdir(mnt+"/untar", 0o755); err != nil {
		return err
	}
	_, err := command(ctx, mnt+"/untar", "tar", "xf", b.archive)
	return err
}

func (b *bench) makeDoomed(ctx context.Context) error {
	if err := os.RemoveAll(b.served + "/doomed"); err != nil {
		return err
	}
	_, err := command(ctx, "/", "cp", "-r", b.tree, b.served+"/doomed")
	return err
}

func (b *bench) remove(ctx context.Context, mnt string) error {
	_, err := command(ctx, mnt, "rm", "-rf", "doomed")
	return err
}

func (b *bench) checkRemoved(context.Context) error {
	if _, err := os.Lstat(b.served + "/doomed"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the directory is still there: %w", err)
	}
	return nil
}

func (b *bench) listMany(ctx context.Context, mnt string) error {
	out, err := command(ctx, mnt, "ls", "-ln", "many")
	return errors.Join(err, b.checkMany(out))
}

func (b *bench) plainListMany(ctx context.Context) error {
	out, err := b.sshOutput(ctx, "ls -ln "+b.served+"/many")
	return errors.Join(err, b.checkMany(out))
}

// checkMany wants every name, after the line with the total.
func (b *bench) checkMany(out string) error {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")[1:]
	if len(lines) != b.cfg.entries {
		return fmt.Errorf("%d entries, want %d", len(lines), b.cfg.entries)
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, " "+manyName(i)) {
			return fmt.Errorf("entry %d is %q, want %s", i, line, manyName(i))
		}
	}
	return nil
}
