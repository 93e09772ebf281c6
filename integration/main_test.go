package integration

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"
)

// settings of a run, by flag or by environment.
var (
	seedFlag = flag.Uint64("seed", envUint("SEAMOUNT_SEED"), "seed of the random tests, 0: a new one each time")
	opsFlag  = flag.Uint64("ops", envUint("SEAMOUNT_OPS"), "operations of each random test, 0: by the size of the run")
	soakFlag = flag.Bool("soak", os.Getenv("SEAMOUNT_SOAK") == "1", "run the tests in full size")
)

func envUint(name string) uint64 {
	n, _ := strconv.ParseUint(os.Getenv(name), 10, 64)
	return n
}

// seed is the seed of a random test, which the log tells.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: run again with SEAMOUNT_SEED=%d", s, s)
	return s
}

// size is the size of a test: that of every day, or of a soak.
func size(everyDay, soak int) int {
	if *soakFlag {
		return soak
	}
	return everyDay
}

// operations is the length of a random test.
func operations(everyDay, soak int) int {
	if *opsFlag != 0 {
		return int(*opsFlag)
	}
	return size(everyDay, soak)
}
