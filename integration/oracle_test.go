package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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
//   - What a server cannot do is not tried on it (oracleConfig.Lacks).
type oracle struct {
	seed    uint64
	rng     *rand.Rand
	model   *world
	subject *world
	server  string       // the subject's directory as the server has it, "" for none
	sync    func() error // makes the subject's changes known to the server
	root    bool         // the operations run as root
	lacks   lacks

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
	Lacks   lacks
}

// lacks names what a server cannot do.
type lacks struct {
	setLinks    bool // set a symbolic link's own times and owner
	replaceDirs bool // rename a directory over an empty one
	setNameless bool // set the times of an open file that has no name any more
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
		root: os.Geteuid() == 0, lacks: c.Lacks, began: now(),
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
	if o.leftOut(op) {
		return nil
	}
	o.history = append(o.history, op)
	want, got := o.model.do(op), o.subject.do(op)
	want.permit(&got, o.began)
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("%v differs (-local +mount):\n%s%s", op, d, o.story(op))
	}
	return nil
}

// leftOut reports whether op asks for what the server cannot do.
func (o *oracle) leftOut(op oracleOp) bool {
	switch op.Name {
	case "chown", "utimens":
		return o.lacks.setLinks && op.Flags == unix.AT_SYMLINK_NOFOLLOW && o.model.typeOf(op.Path) == unix.S_IFLNK
	case "rename":
		return o.lacks.replaceDirs && o.model.typeOf(op.Path) == unix.S_IFDIR && o.model.typeOf(op.Path2) == unix.S_IFDIR
	case "futimens":
		return o.lacks.setNameless && o.model.nameless(op.Slot)
	}
	return false
}

// story is the part of the history that concerns op: the last operations on
// its names and descriptors, those on the names that its descriptors were opened
// by, and the very last ones.
func (o *oracle) story(op oracleOp) string {
	const related, last = 40, 10
	names, fds := op.names(), map[int]bool{op.Slot: true, op.Slot2: true}
	delete(fds, -1)
	var found []string
	for i := len(o.history) - 1; i >= 0 && len(found) < related; i-- {
		h := o.history[i]
		mine := fds[h.Slot] || fds[h.Slot2]
		if mine || h.concerns(names) || i >= len(o.history)-last {
			found = append(found, fmt.Sprintf("  %6d %v", i+1, h))
		}
		if fds[h.Slot] && h.Name == "open" && h != op { // what the descriptor was before is another story
			delete(fds, h.Slot)
			names = append(names, h.Path)
		}
	}
	slices.Reverse(found)
	return "what led there:\n" + strings.Join(found, "\n")
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
		return fmt.Errorf("trees differ (-local +mount):\n%s\n%s", d, o.story(treeOp(want, got, o.began)))
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
		return fmt.Errorf("trees differ (-local +server):\n%s\n%s", d, o.story(treeOp(want, got, o.began)))
	}
	return nil
}

// treeOp is an operation on a name in which the trees differ, to tell its story.
func treeOp(want, got map[string]treeEntry, began int64) oracleOp {
	op := newOp("tree")
	for name, w := range want {
		g, ok := got[name]
		w.Stat.permit(&g.Stat, began)
		if !ok || g != w {
			op.Path = name
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			op.Path = name
		}
	}
	return op
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
