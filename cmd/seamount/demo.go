package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"seamount/cmd/seamount/internal/mountpoint"
	"seamount/cmd/seamount/internal/options"
)

// demoFlags are the options of the demo.
type demoFlags struct {
	rtt  time.Duration
	keep bool
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Mount a generated tree from a server of its own, and work on it",
		Long: `Starts an SSH and SFTP server on loopback over a generated tree, mounts it, lists,
copies out, edits, copies in and compares, and says how long each took. Nothing
is left behind.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), f) },
	}
	c.Flags().DurationVar(&f.rtt, "rtt", 0, "round trip time to put in between, such as 50ms")
	c.Flags().BoolVar(&f.keep, "keep", false, "keep the mount for looking around, until ^C")
	return c
}

// demo is a run of the demonstration.
type demo struct {
	app     *app
	dir     string // all that the demo makes
	session *session
	server  *demoServer
	kept    bool // all is shown, ^C is how it ends
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// demo runs it all, and takes it away whatever happened.
func (a *app) demo(ctx context.Context, f demoFlags) (err error) {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "seamount-demo-")
	if err != nil {
		return err
	}
	// What a program is told of a mountpoint must be its real name.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	d := &demo{app: a, dir: dir}
	defer func() { err = d.end(ctx, err) }()
	if err := d.start(ctx, f.rtt); err != nil {
		return err
	}
	if err := d.work(ctx); err != nil {
		return err
	}
	if f.keep {
		d.kept = true
		fmt.Fprintf(a.stdout, "\nThe tree is mounted on %s (server's side: %s).\nLook around in another terminal; ^C here ends it.\n",
			d.path("mnt"), d.path("server"))
		<-ctx.Done()
	}
	return nil
}

// end takes everything away and makes of err, which the demo ended with, what
// the user is told.
func (d *demo) end(ctx context.Context, err error) error {
	cleaned := d.clean()
	if cleaned == nil {
		defer fmt.Fprintln(d.app.stdout, "Unmounted; nothing is left behind.")
	}
	switch {
	case d.kept:
		fmt.Fprintln(d.app.stdout)
		return cleaned
	case ctx.Err() != nil:
		return errors.Join(errors.New("interrupted"), cleaned)
	}
	return errors.Join(err, cleaned)
}

// start generates the tree, serves and mounts it.
func (d *demo) start(ctx context.Context, rtt time.Duration) error {
	if _, err := (mountpoint.System{}).Check(ctx, mountpoint.Request{Path: d.dir, NonEmpty: true}); err != nil {
		return err
	}
	for _, name := range []string{"server", "mnt", "local"} {
		if err := os.Mkdir(d.path(name), 0o700); err != nil {
			return err
		}
	}
	err := d.step("generate 200 files and one of 32 MiB", func() error { return generateTree(d.path("server")) })
	if err != nil {
		return err
	}
	name := "start an SSH server on loopback"
	if rtt > 0 {
		name += fmt.Sprintf(", %v away", rtt)
	}
	err = d.step(name, func() (err error) {
		d.server, err = startDemoServer(d.path("server"), d.dir, rtt)
		return err
	})
	if err != nil {
		return err
	}
	return d.step("mount it", func() (err error) {
		opts := options.New()
		opts.FsName = "demo"
		p := &plan{source: "demo", mountpoint: d.path("mnt"), opts: opts, target: d.server.target()}
		log := slog.New(slog.NewTextHandler(d.app.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		d.session, err = d.app.open(ctx, p, log)
		return err
	})
}

// work is what the demo shows. All of it is done by ordinary programs.
func (d *demo) work(ctx context.Context) error {
	mnt, local := d.path("mnt"), d.path("local")
	for _, s := range []struct {
		name string
		argv []string
	}{
		{"ls -l of 100 files", []string{"ls", "-l", mnt + "/src"}},
		{"cp -r out of the mount, 201 files, 33 MiB", []string{"cp", "-r", mnt + "/.", local + "/out"}},
		{"edit a file", []string{"sed", "-i", "s/file/FILE/", mnt + "/src/file-000.txt", local + "/out/src/file-000.txt"}},
		{"cp -r into the mount", []string{"cp", "-r", local + "/out", mnt + "/in"}},
		{"diff -r of both trees through the mount", []string{"diff", "-r", local + "/out", mnt + "/in"}},
		{"remove a directory", []string{"rm", "-r", mnt + "/src"}},
	} {
		if err := d.step(s.name, func() error { return command(ctx, s.argv...) }); err != nil {
			return err
		}
	}
	// The server's own files are the proof.
	return d.step("diff -r with the server's own files", func() error {
		if err := d.session.tree.Sync(ctx); err != nil {
			return err
		}
		if _, err := os.Stat(d.path("server/src")); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the removed directory is still on the server (%v)", err)
		}
		return command(ctx, "diff", "-r", local+"/out", d.path("server/in"))
	})
}

// step does f and tells what it was and how long it took.
func (d *demo) step(name string, f func() error) error {
	start := time.Now()
	err := f()
	took := time.Since(start).Round(100 * time.Microsecond)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(d.app.stdout, "%10v  %s\n", took, name)
	return nil
}

// clean takes everything away that start made. It is not bound to the
// context, which may have ended because of it.
func (d *demo) clean() error {
	var errs []error
	if d.session != nil {
		// Programs that still look around must not keep the demo from ending.
		err := d.session.server.Unmount()
		if err != nil {
			err = d.session.abandon()
		} else {
			err = d.session.close(context.Background())
		}
		errs = append(errs, err)
	}
	if d.server != nil {
		errs = append(errs, d.server.close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// command runs a program and makes an error of what it says.
func command(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	if argv[0] == "diff" {
		cmd.Stdout = &stderr
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, firstLine(stderr.String()))
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
