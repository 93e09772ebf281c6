package main

import (
	"context"
	"errors"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"seamount/cmd/seamount/internal/daemon"
	"seamount/cmd/seamount/internal/mountpoint"
)

func (a *app) unmountCommand() *cobra.Command {
	var lazy bool
	c := &cobra.Command{
		Use:     "unmount mountpoint",
		Aliases: []string{"umount"},
		Short:   "Unmount, and wait until all data is on the server",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return unmount(c.Context(), args[0], lazy)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	c.Flags().BoolVarP(&lazy, "lazy", "l", false,
		"detach a mount that is in use, and do not wait for its end")
	return c
}

// unmount takes the mount at path away and waits for the process behind it.
func unmount(ctx context.Context, path string, lazy bool) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	m, err := mountpoint.System{}.Mounted(path)
	if err != nil {
		return err
	}
	wait := daemon.Running(m.Device, m.UserID)
	if err := mountpoint.Unmount(ctx, m.Path, lazy); err != nil {
		return err
	}
	if wait == nil || lazy {
		return nil
	}
	if err := wait(ctx); err != nil {
		return errors.New("unmounted, but not all data is known to be on the server: interrupted")
	}
	return nil
}
