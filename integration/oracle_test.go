package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An oracle runs one sequence of random operations in two directories, the
// model (a local one) and the subject (below a mount), and compares what every
// operation answers. At intervals it compares the two trees, and the subject's
// files as the server has them.
//
// Permitted differences, each with its reason:
//
//   - Access and change times are not compared: SFTP carries no change time,
//     and the access time is the server's affair.
//   - Modification times are compared in seconds, SFTP's resolution. Two that
//     both lie within the run are equal, since the same operation happens a
//     moment later in one of the directories.
//   - Sizes and link counts of directories are not compared: they depend on the
//     file system's own layout, and SFTP carries no link count.
//   - Link counts of files with more than one name are not compared, for the
//     same reason; of files with one name or none they are.
//   - Inode numbers are not compared.
type oracle struct {
	seed    uint64
	rng     *rand.Rand
	model   *world
	subject *world
	server  string       // the subject's directory as the server has it, "" for none
	sync    func() error // makes the subject's changes known to the server
	root    bool         // the operations run as root

	history []oracleOp
	began   int64
}

// oracleConfig is what an oracle needs to know.
type oracleConfig struct {
	Seed    uint64
	Ops     int
	Model   string // an empty directory
	Subject string // an empty directory, the one to be judged
	Server  string // Subject as the server has it
	Sync    func() error
}

// runOracle executes c.Ops operations and returns the first difference.
func runOracle(c oracleConfig) error {
	o, err := newOracle(c)
	if err != nil {
		return err
	}
	defer o.model.closeAll()
	defer o.subject.closeAll()
	interval := max(c.Ops/20, 100)
	for i := 1; i <= c.Ops; i++ {
		if err := o.step(); err != nil {
			return fmt.Errorf("seed %d, operation %d: %w", o.seed, i, err)
		}
		if i%interval == 0 || i == c.Ops {
			if err := o.compareTrees(); err != nil {
				return fmt.Errorf("seed %d, after operation %d: %w", o.seed, i, err)
			}
		}
	}
	return nil
}

// The operations happen two levels below the directories given, so that
// symbolic links have somewhere to go up to.
const oracleBase = "w1/w2"

func newOracle(c oracleConfig) (*oracle, error) {
	o := &oracle{
		seed: c.Seed, rng: rand.New(rand.NewPCG(c.Seed, 0)), sync: c.Sync,
		root: os.Geteuid() == 0, began: now(),
	}
	if c.Server != "" {
		o.server = filepath.Join(c.Server, oracleBase)
	}
	var err error
	if o.model, err = newWorld(filepath.Join(c.Model, oracleBase)); err != nil {
		return nil, err
	}
	if o.subject, err = newWorld(filepath.Join(c.Subject, oracleBase)); err != nil {
		o.model.closeAll()
		return nil, err
	}
	return o, nil
}

// step executes the next operation in both directories and compares.
func (o *oracle) step() error {
	op := o.next()
	o.history = append(o.history, op)
	want, got := o.model.do(op), o.subject.do(op)
	want.permit(&got, o.began)
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("%v differs (-local +mount):\n%s%s", op, d, o.story(op))
	}
	return nil
}

// story is the part of the history that concerns op: the last operations that
// share a name or a descriptor with it, and the very last ones.
func (o *oracle) story(op oracleOp) string {
	const related, last = 40, 10
	var lines []string
	for i := len(o.history) - 1; i >= 0 && len(lines) < related; i-- {
		if h := o.history[i]; i >= len(o.history)-last || h.concerns(op) {
			lines = append(lines, fmt.Sprintf("  %6d %v", i+1, h))
		}
	}
	var b strings.Builder
	b.WriteString("what led there:\n")
	for i := len(lines) - 1; i >= 0; i-- {
		fmt.Fprintln(&b, lines[i])
	}
	return b.String()
}

// compareTrees compares the local directory with the mount, and with the
// server's files once everything is there.
func (o *oracle) compareTrees() error {
	want, err := readTree(o.model.root)
	if err != nil {
		return err
	}
	got, err := readTree(o.subject.root)
	if err != nil {
		return fmt.Errorf("reading the mount: %w", err)
	}
	if d := diffTrees(want, got, o.began); d != "" {
		return fmt.Errorf("trees differ (-local +mount):\n%s", d)
	}
	if o.server == "" {
		return nil
	}
	if err := o.subject.syncAll(); err != nil {
		return err
	}
	if err := o.sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if got, err = readTree(o.server); err != nil {
		return fmt.Errorf("reading the server's files: %w", err)
	}
	if d := diffTrees(want, got, o.began); d != "" {
		return fmt.Errorf("trees differ (-local +server):\n%s", d)
	}
	return nil
}

// TestOracleItself shows that two local directories agree, and that the oracle
// notices when one of them is meddled with.
func TestOracleItself(t *testing.T) {
	t.Run("same", func(t *testing.T) {
		c := oracleConfig{Seed: seed(t), Ops: 3000, Model: t.TempDir(), Subject: t.TempDir(), Sync: func() error { return nil }}
		c.Server = c.Subject
		if err := runOracle(c); err != nil {
			t.Error(err)
		}
	})
	t.Run("meddled", func(t *testing.T) {
		c := oracleConfig{Seed: 1, Ops: 200, Model: t.TempDir(), Subject: t.TempDir()}
		c.Server = c.Subject
		c.Sync = func() error {
			return os.WriteFile(filepath.Join(c.Server, oracleBase, "made up"), nil, 0o644)
		}
		if err := runOracle(c); err == nil {
			t.Error("a file that only one of the directories has was not noticed")
		}
	})
}
