package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"seamount/cmd/seamount/internal/daemon"
	"seamount/cmd/seamount/internal/mountpoint"
	"seamount/cmd/seamount/internal/options"
	"seamount/conn/dial"
)

// mountFlags are the options of a mount that are not written after -o.
type mountFlags struct {
	port, configFile  string
	options           []string
	foreground, debug bool
	compression       bool
	version           bool
	protocol1, single bool
}

func (a *app) mountCommand() *cobra.Command {
	var f mountFlags
	c := &cobra.Command{
		Use:           "seamount [user@]host:[dir] mountpoint",
		Short:         "Mount a directory of an SSH server",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, args []string) error {
			if f.version {
				a.printVersion()
				return nil
			}
			return a.mount(c.Context(), f, args)
		},
		ValidArgsFunction: completeMount,
	}
	f.register(c)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, c.CommandPath())
	})
	help := c.HelpFunc()
	c.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c.HasParent() {
			help(c, args)
			return
		}
		fmt.Fprint(a.stdout, usage)
	})
	return c
}

func (f *mountFlags) register(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVarP(&f.options, "option", "o", nil, "options, separated by commas")
	fs.StringVarP(&f.port, "port", "p", "", "port")
	fs.StringVarP(&f.configFile, "config", "F", "", "ssh_config file")
	fs.BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground")
	fs.BoolVarP(&f.debug, "debug", "d", false, "log every call, implies -f")
	fs.BoolVarP(&f.compression, "compression", "C", false, "as ssh -C")
	fs.BoolVarP(&f.version, "version", "V", false, "print the version")
	fs.BoolVarP(&f.protocol1, "protocol1", "1", false, "no effect")
	fs.BoolVarP(&f.single, "single-threaded", "s", false, "no effect")
}

// completeMount leaves the host to the shell's files, which is better than
// nothing, and completes directories for the mountpoint.
func completeMount(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// plan is what a mount is to be, before anything was asked of a server.
type plan struct {
	source     string // as the user typed it
	target     dial.Target
	dir        string // on the server
	mountpoint string // absolute, without symbolic links
	opts       *options.Mount
	foreground bool
}

// parse makes a plan of the command line.
func (f mountFlags) parse(args []string) (*plan, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("a mount needs [user@]host:[dir] and a mountpoint, not %d arguments: see seamount --help", len(args))
	}
	p := &plan{source: args[0], mountpoint: args[1], opts: options.New()}
	var err error
	if p.target, p.dir, err = dial.ParseTarget(p.source); err != nil {
		return nil, err
	}
	for _, o := range f.options {
		if err := p.opts.Parse(o); err != nil {
			return nil, err
		}
	}
	if f.port != "" {
		if err := p.opts.Set("port=" + f.port); err != nil {
			return nil, err
		}
	}
	if err := p.opts.Check(); err != nil {
		return nil, err
	}
	if f.compression {
		p.opts.SSH = append(p.opts.SSH, "Compression=yes")
	}
	p.target.Port = p.opts.Port
	p.target.ConfigFile = f.configFile
	p.target.Options = p.opts.SSH
	p.target.SFTPServer = p.opts.SFTPServer
	p.opts.Debug = p.opts.Debug || f.debug
	p.foreground = f.foreground || p.opts.Debug
	return p, nil
}

// mount is the verb without a name.
func (a *app) mount(ctx context.Context, f mountFlags, args []string) error {
	p, err := f.parse(args)
	if err != nil {
		return err
	}
	p.mountpoint, err = mountpoint.System{}.Check(ctx, mountpoint.Request{
		Path: p.mountpoint, NonEmpty: p.opts.NonEmpty, AllowOther: p.opts.AllowOther || p.opts.AllowRoot,
	})
	if err != nil {
		return err
	}
	child, isChild := daemon.AsChild()
	if !p.foreground && !isChild {
		code, err := daemon.Start()
		if err != nil || code != exitOK {
			return &codeError{max(code, exitFailed), err}
		}
		return nil
	}
	return a.serve(ctx, p, child)
}

var errInterrupted = errors.New("interrupted: nothing was mounted")

// serve mounts p, in the background if there is a child to be ready, and
// returns when the mount has ended.
func (a *app) serve(ctx context.Context, p *plan, child *daemon.Child) error {
	tuneMemory(p.opts.CacheSize)
	log := a.newLog(p, child)
	defer log.Close()

	signals := newSignals()
	defer signals.stop()
	connecting, cancel := signals.until(ctx)
	s, err := a.open(connecting, p, log.Logger)
	switch interrupted := cancel(); {
	case interrupted && err == nil:
		return errors.Join(errInterrupted, s.abandon())
	case interrupted, errors.Is(err, dial.ErrInterrupted): // ^C is heard by both
		return errInterrupted
	case err != nil:
		return err
	}
	if child != nil {
		log.toFile(daemon.LogPath(p.mountpoint))
	}
	log.Info("mounted", "source", p.source, "mountpoint", p.mountpoint, "pid", os.Getpid())
	if child != nil {
		if err := child.Ready(); err != nil {
			return errors.Join(err, s.abandon())
		}
	}
	err = s.wait(signals)
	if err != nil && child != nil {
		log.Error("ended", "err", err) // nobody reads the standard error of a daemon
	}
	return err
}

// tuneMemory has the collector run twice as often as usual: most of a mount's
// memory is the content cache, which is not garbage. The limit leaves room
// beside it; it is soft, and only makes the collector work harder.
func tuneMemory(cacheSize int64) {
	const gcPercent, defaultCache, room = 50, 64 << 20, 160 << 20
	if cacheSize == 0 {
		cacheSize = defaultCache
	}
	if !isSet("GOGC") {
		debug.SetGCPercent(gcPercent)
	}
	if !isSet("GOMEMLIMIT") {
		debug.SetMemoryLimit(cacheSize + room)
	}
}

// passwordReader returns what reads the password where the options say, nil
// for the terminal.
func (a *app) passwordReader(from options.Source) func(context.Context) (string, error) {
	if from != options.FromStdin {
		return nil
	}
	return func(context.Context) (string, error) { return readPassword(a.stdin) }
}
