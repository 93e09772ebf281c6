package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// config is what the command line says.
type config struct {
	rtts    durations
	rate    int64 // bytes per second in each direction, 0 for no limit
	rounds  int
	files   int
	size    int64 // of the large file in bytes, 0 for the default of the distance
	entries int   // of the large directory
	limit   time.Duration
	only    *regexp.Regexp
	append  string // file, or empty
	logs    string // directory, or empty
}

// durations is a flag.Value: a list that may be given in pieces.
type durations []time.Duration

func (d *durations) String() string { return fmt.Sprint([]time.Duration(*d)) }

func (d *durations) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		v, err := time.ParseDuration(word)
		if err != nil {
			return err
		}
		if v < 0 {
			return errors.New("a distance cannot be negative")
		}
		*d = append(*d, v)
	}
	return nil
}

// parse reads the arguments that follow the program's name, and explains them
// on usage where they are wrong.
func parse(args []string, usage io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.Var(&c.rtts, "rtt", "round trip `times` to add, a list; may be given again (default 0,20ms)")
	mbit := f.Float64("rate", 0, "what the line carries in each direction, in Mbit/s; 0 is no limit")
	f.IntVar(&c.rounds, "rounds", 1, "measurements of each row, of which the median is shown")
	f.IntVar(&c.files, "files", 400, "files in the tree")
	size := f.Int64("size", 0, "size of the large file in `MiB` (default 512 on loopback, 256 at a distance)")
	f.IntVar(&c.entries, "entries", 20000, "entries of the large directory")
	f.DurationVar(&c.limit, "limit", 45*time.Second, "longest time of one row")
	only := f.String("only", "", "measure only rows whose name matches this `regexp` (and those that they go on from)")
	f.StringVar(&c.append, "append", "", "add the tables to this `file`, such as docs/performance.md")
	f.StringVar(&c.logs, "logs", "", "run seamount with --debug and keep its logs in this `directory`; costs time")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if len(c.rtts) == 0 {
		c.rtts = durations{0, 20 * time.Millisecond}
	}
	c.size, c.rate = *size<<20, int64(*mbit*1e6/8)
	var err error
	c.only, err = regexp.Compile(*only)
	if c.rounds < 1 || c.files < 20 || c.entries < 1 || c.size < 0 || f.NArg() > 0 {
		err = errors.Join(err, errors.New("at least 1 round, 20 files and 1 entry, and nothing but flags"))
	}
	return c, err
}

// at is the configuration for one distance.
func (c config) at(rtt time.Duration) config {
	switch {
	case c.size > 0:
	case rtt > 0:
		c.size = 256 << 20
	default:
		c.size = 512 << 20
	}
	return c
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil:
		err = run(ctx, c, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errWrong says that a row failed, or ended wrongly, with seamount; the tables
// name it.
var errWrong = errors.New("seamount failed in a row")

// run measures at each distance and shows its table on out at once, so that
// an interrupted run is not lost.
func run(ctx context.Context, c config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "seamount-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	head := heading(ctx)
	b, err := newBench(ctx, dir, c)
	if err != nil {
		return err
	}
	defer b.close()
	var report strings.Builder
	for _, rtt := range c.rtts {
		t, atErr := b.measureAt(ctx, rtt)
		text := t.String()
		fmt.Fprintln(out, text)
		report.WriteString(text + "\n")
		if err = errors.Join(err, atErr); ctx.Err() != nil {
			return err
		}
	}
	if c.append != "" {
		err = errors.Join(err, appendReport(ctx, c, head, report.String()))
	}
	return err
}
