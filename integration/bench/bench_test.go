package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every kind of row, on real mounts, near and at a distance; the tables reach
// the file.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(file, []byte("before\n"+marker), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := parse([]string{"-rtt", "0,1ms", "-files", "20", "-size", "2", "-entries", "30",
		"-only", "^(find again|git status|sequential read|30 safe|10 stats)", "-append", file, "-logs", t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), c, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "### 0s round trip, 20 files", "### 1ms round trip", "| find again ", "| sequential read, CPU per GiB ", "| 30 safe saves "} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "tar x") {
		t.Error("a row that was not asked for")
	}
	logs, err := filepath.Glob(filepath.Join(c.logs, "*.log"))
	if err != nil || len(logs) != 2*5 {
		t.Errorf("logs %q, %v; want one of each group and distance", logs, err)
	}
}

// A row that never ends is cut, and what it waits for with it.
func TestLimit(t *testing.T) {
	b := &bench{cfg: config{limit: 50 * time.Millisecond}}
	endless := row{name: "endless", plain: func(ctx context.Context) error {
		_, err := command(ctx, "/", "sh", "-c", "sleep 600 & wait")
		return err
	}}
	tab := &table{results: results{}}
	if b.measureRow(t.Context(), contender{name: plainSSH}, endless, nil, tab) {
		t.Error("the group goes on")
	}
	if s, ok := tab.results.median("endless", plainSSH); !ok || !s.cut || s.took > 30*time.Second {
		t.Errorf("%+v, %v; want a row that was cut", s, ok)
	}
}

// Both a failure of the work and a wrong result stand below the table.
func TestFaults(t *testing.T) {
	b := &bench{cfg: config{limit: time.Minute}}
	fine := func(context.Context) error { return nil }
	broken := func(context.Context) error { return errContent }
	tab := &table{results: results{}}
	tab.add(group{{name: "work"}, {name: "result"}})
	b.measureRow(t.Context(), contender{name: seamount}, row{name: "work", plain: broken, check: fine}, nil, tab)
	b.measureRow(t.Context(), contender{name: sshfs}, row{name: "result", plain: fine, check: broken}, nil, tab)
	for _, want := range []string{"(1)", "(2)", "1. seamount: wrong content", "2. sshfs: wrong content"} {
		if !strings.Contains(tab.String(), want) {
			t.Errorf("no %q in\n%s", want, tab)
		}
	}
	if !tab.results.wrong(seamount) {
		t.Error("seamount failed, and the run did not")
	}
}

func TestParse(t *testing.T) {
	c, err := parse([]string{"-rtt", "0,20ms", "-rtt", "100ms", "-rate", "80"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(durations{0, 20 * time.Millisecond, 100 * time.Millisecond}, c.rtts); diff != "" {
		t.Error(diff)
	}
	if c.rate != 10e6 {
		t.Errorf("rate %d, want 10 MB/s", c.rate)
	}
	if near, far := c.at(0).size, c.at(time.Second).size; near != 512<<20 || far != 256<<20 {
		t.Errorf("sizes %d and %d", near, far)
	}
	for _, bad := range []string{"-rtt=-1s", "-rtt=20", "-rounds=0", "-files=1", "-only=(", "word"} {
		if _, err := parse([]string{bad}, io.Discard); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestMedian(t *testing.T) {
	r := results{}
	for _, took := range []time.Duration{5, 1, 3} {
		r.record("row", sshfs, sample{took: took})
	}
	r.record("other", sshfs, sample{took: 7, fault: errContent})
	if m, ok := r.median("row", sshfs); !ok || m.took != 3 {
		t.Errorf("%v, %v; want 3", m.took, ok)
	}
	if _, ok := r.median("row", seamount); ok {
		t.Error("a median of nothing")
	}
}

func TestGoal(t *testing.T) {
	g := goal{near: reach{2.5, 1}, far: reach{5, 1}, farther: reach{5, 0.25}}
	const near, far, farther = 0, 20 * time.Millisecond, 100 * time.Millisecond
	for _, test := range []struct {
		goal           goal
		rtt            time.Duration
		faster, slower ratio
		want           string
	}{
		{g, far, ratio{value: 6}, ratio{value: 0.9}, ">= 5, <= 1"},
		{g, far, ratio{value: 4}, ratio{value: 0.9}, ">= 5, <= 1, MISSED"},
		{g, far, ratio{value: 6}, ratio{value: 1.1}, ">= 5, <= 1, MISSED"},
		{g, farther, ratio{value: 6}, ratio{value: 0.9}, ">= 5, <= 0.25, MISSED"},
		{g, near, ratio{value: 3}, ratio{value: 1}, ">= 2.5, <= 1"},
		{g, near, ratio{value: 2}, ratio{value: 1}, ">= 2.5, <= 1, MISSED"},
		{g, far, ratio{}, ratio{}, ""},
		{g, far, ratio{value: 4, atLeast: true}, ratio{}, ">= 5, open"},
		{g, far, ratio{value: 6, atLeast: true}, ratio{}, ">= 5"},
		{g, far, ratio{value: 6, atMost: true}, ratio{}, ">= 5, MISSED"},
		{goal{}, near, ratio{value: 0.9}, ratio{}, ">= 1, MISSED"},
		{goal{far: reach{sshfs: 2}}, farther, ratio{value: 1}, ratio{}, ">= 2, MISSED"},
	} {
		if got := test.goal.at(test.rtt).say(test.faster, test.slower); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// The times of rows that were cut are bounds, and so are their ratios.
func TestDivide(t *testing.T) {
	cut, whole := sample{took: 6, cut: true}, sample{took: 3}
	for _, test := range []struct {
		a, b sample
		want string
	}{{cut, whole, "> 2.00"}, {whole, cut, "< 0.50"}, {cut, cut, "-"}, {whole, whole, "1.00"}, {whole, sample{}, "-"}} {
		if got := divide(test.a, test.b).String(); got != test.want {
			t.Errorf("%+v / %+v = %q, want %q", test.a, test.b, got, test.want)
		}
	}
}

func TestInsertRun(t *testing.T) {
	got, err := insertRun("head\n"+marker+"\nolder\n", "newer\n")
	if want := "head\n" + marker + "\nnewer\n\nolder\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := insertRun("no report", "newer"); !errors.Is(err, errNoMarker) {
		t.Errorf("%v, want errNoMarker", err)
	}
}

// Verifying finds a wrong byte, a missing one and one too many.
func TestNoise(t *testing.T) {
	n := newNoise()
	const size = 3 * piece
	var file bytes.Buffer
	if err := n.copy(t.Context(), &file, size); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()
	if err := n.verify(t.Context(), bytes.NewReader(data), size); err != nil {
		t.Error(err)
	}
	if err := n.verify(t.Context(), bytes.NewReader(data[:size-1]), size); err == nil {
		t.Error("a file that is too short is taken")
	}
	if err := n.verify(t.Context(), bytes.NewReader(append(bytes.Clone(data), 0)), size); err == nil {
		t.Error("a file that is too long is taken")
	}
	data[2*piece+17] ^= 1
	if err := n.verify(t.Context(), bytes.NewReader(data), size); !errors.Is(err, errContent) {
		t.Errorf("%v, want errContent", err)
	}
}

func TestGroupTicks(t *testing.T) {
	const stat = "7 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 30 12 5 5 20 0"
	if got := groupTicks(stat, 42); got != 42 {
		t.Errorf("%d ticks, want 30 + 12", got)
	}
	if got := groupTicks(stat, 7); got != 0 {
		t.Errorf("%d ticks of another group", got)
	}
}

func TestCheckMany(t *testing.T) {
	b := &bench{cfg: config{entries: 2}}
	if err := b.checkMany("total 0\n- entry0000000\n- entry0000001\n"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "total 0\n- entry0000000\n", "total 0\n- entry0000000\n- entry0000002\n"} {
		if b.checkMany(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestMatches(t *testing.T) {
	g := group{{name: "find"}, {name: "find again"}}
	if !g.matches(regexp.MustCompile("again$")) || g.matches(regexp.MustCompile("grep")) {
		t.Error("a group is run when one of its rows is asked for, and only then")
	}
}

func TestTail(t *testing.T) {
	var last tail
	for range 3 {
		if n, err := last.Write(bytes.Repeat([]byte("x"), tailSize)); n != tailSize || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := last.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if s := last.String(); len(s) != tailSize || !strings.HasSuffix(s, "the end") {
		t.Errorf("%d bytes, ending in %q", len(s), s[len(s)-10:])
	}
}
