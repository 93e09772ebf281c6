package main

import (
	"github.com/spf13/cobra"

	"seamount/cmd/seamount/internal/options"
)

// usage fits a screen of 24 lines and 80 columns.
const usage = `seamount mounts a directory of an SSH server.

  seamount [user@]host:[dir] mountpoint [options]   mount dir, or the login one
  seamount unmount [--lazy] mountpoint              unmount, data on the server
  seamount demo [--rtt 50ms] [--keep]               try it without a server
  seamount version | help | help options | completion bash|zsh|fish

  -p PORT      port                   -f          stay in the foreground
  -F FILE      ssh_config file        -d, --debug log every call, implies -f
  -o a,b=c     options, \, is a comma; all are listed by: seamount help options

  -o ro                    read only           -o allow_other  let all users in
  -o Key=value             any setting of ssh_config, such as IdentityFile=FILE
  -o symlinks=contain|raw|follow               -o idmap=user|none|file|name
  -o durability=close      data is on the server at close (default), or
  -o durability=call       ... after every call (same as -o sync)
  -o attr_ttl=SECONDS      how long attributes are believed (default: 3 to 60)

Options may stand before, between or after host:dir and mountpoint.
Exit codes: 0 mounted, or ended with all data on the server; 1 not mounted;
2 ended, and something did not reach the server (with -f).
`

// optionsTopic is what seamount help options shows.
func optionsTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "All options",
		Long:  options.Help,
	}
}
