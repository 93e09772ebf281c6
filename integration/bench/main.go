// Command bench measures seamount and Debian's sshfs side by side.
//
// Both mount the same directory of a real sshd on loopback, with their default
// options, one after the other in turns; each turn begins with a fresh mount,
// so nothing is cached by the file system. The table has the medians. Every
// result is verified with the server's own files. With -rtt a proxy delays
// what passes between client and server.
//
// It needs root (for sshd), sshfs, git, tar, and the go command.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 3, "measurements of each row")
	size := flag.Int64("size", 512, "size of the large file, in MiB")
	files := flag.Int("files", 1500, "files in the tree")
	rtt := flag.Duration("rtt", 0, "round trip time to add")
	flag.Parse()
	if err := run(config{*rounds, *size << 20, *files, *rtt}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type config struct {
	rounds int
	size   int64 // bytes
	files  int
	rtt    time.Duration
}

// results are durations by row and by program.
type results map[string]map[string][]time.Duration

func run(c config) error {
	dir, err := os.MkdirTemp("", "seamount-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(dir, c)
	if err != nil {
		return err
	}
	defer b.close()
	r := results{}
	for i := range c.rounds {
		programs := b.programs()
		if i%2 == 1 {
			slices.Reverse(programs)
		}
		for _, p := range programs {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", i+1, c.rounds, p.name)
			if err := b.measure(p, r); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return r.print(b.rows())
}

// print shows the medians of the rows.
func (r results) print(rows []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsshfs\tseamount\tsshfs/seamount\t")
	for _, row := range rows {
		old, ours := median(r[row.name]["sshfs"]), median(r[row.name]["seamount"])
		fmt.Fprintf(w, "%s\t%v\t%v\t%.2f\t\n", row.name, old.Round(time.Millisecond), ours.Round(time.Millisecond), float64(old)/float64(ours))
	}
	return w.Flush()
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
