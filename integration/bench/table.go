package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A sample is one measurement.
type sample struct {
	took  time.Duration
	cut   bool  // ended at the limit
	fault error // of the work or its result
}

// results are samples by row and by contender.
type results map[string]map[string][]sample

func (r results) record(row, contender string, s sample) {
	if r[row] == nil {
		r[row] = map[string][]sample{}
	}
	r[row][contender] = append(r[row][contender], s)
}

// wrong reports whether the contender failed in any row.
func (r results) wrong(contender string) bool {
	for _, row := range r {
		if slices.ContainsFunc(row[contender], func(s sample) bool { return s.cut || s.fault != nil }) {
			return true
		}
	}
	return false
}

// median is the sample in the middle, with the first fault of all; ok is false
// if there is none.
func (r results) median(row, contender string) (m sample, ok bool) {
	all := r[row][contender]
	if len(all) == 0 {
		return sample{}, false
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b sample) int { return int(a.took - b.took) })
	m = sorted[len(sorted)/2]
	for _, s := range all {
		if m.fault == nil {
			m.fault = s.fault
		}
	}
	return m, true
}

// A table is what was measured at one distance.
type table struct {
	rtt     time.Duration
	cfg     config
	dir     string // of the bench, which is not shown
	rows    []row  // in the order of the table
	results results
	faults  []string
}

// add has the rows of g shown, once.
func (t *table) add(g group) {
	for _, r := range g {
		if slices.ContainsFunc(t.rows, func(have row) bool { return have.name == r.name }) {
			continue
		}
		t.rows = append(t.rows, r)
		if r.cpuPer > 0 {
			t.rows = append(t.rows, row{name: r.cpuRow(), goal: goal{sshfsNear: 1}})
		}
	}
}

var header = []string{"", "sshfs", "seamount", "ssh", "sshfs/seamount", "seamount/ssh", "goal"}

// String is the table as Markdown that also reads well as it is.
func (t *table) String() string {
	t.faults = nil
	lines := [][]string{header}
	for _, r := range t.rows {
		lines = append(lines, t.line(r))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "### %s\n\n", t.title())
	writeAligned(&out, lines)
	for i, f := range t.faults {
		fmt.Fprintf(&out, "\n%d. %s\n", i+1, f)
	}
	return out.String()
}

func (t *table) title() string {
	s := fmt.Sprintf("%v round trip, %d files, large file of %d MiB, %d entries, median of %d",
		t.rtt, t.cfg.files, t.cfg.size>>20, t.cfg.entries, t.cfg.rounds)
	if t.cfg.rate > 0 {
		s += fmt.Sprintf(", %.4g Mbit/s", float64(t.cfg.rate)*8/1e6)
	}
	if t.cfg.logs != "" {
		s += ", seamount with --debug"
	}
	return s
}

func (t *table) line(r row) []string {
	line := []string{r.name}
	took := map[string]time.Duration{}
	for _, c := range []string{sshfs, seamount, plainSSH} {
		s, ok := t.results.median(r.name, c)
		if ok {
			took[c] = s.took
		}
		line = append(line, t.cell(c, s, ok))
	}
	faster, slower := ratio(took[sshfs], took[seamount]), ratio(took[seamount], took[plainSSH])
	return append(line, shown(faster), shown(slower), r.goal.say(t.rtt == 0, faster, slower))
}

// cell shows one time, and numbers what went wrong.
func (t *table) cell(contender string, s sample, ok bool) string {
	if !ok {
		return "-"
	}
	text := seconds(s.took)
	if s.cut {
		text = "> " + text
	}
	if s.fault != nil {
		said := strings.Join(strings.Fields(strings.ReplaceAll(s.fault.Error(), t.dir+"/", "")), " ")
		if len(said) > 300 {
			said = strings.ToValidUTF8(said[:300], "") + "..."
		}
		t.faults = append(t.faults, contender+": "+said)
		text += fmt.Sprintf(" (%d)", len(t.faults))
	}
	return text
}

func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// ratio is 0 where there is none.
func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func shown(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ratio)
}

// say tells what a row was to reach, and whether it has.
func (g goal) say(near bool, faster, slower float64) string {
	least, most := g.sshfs, g.ssh
	if near {
		least, most = max(1, g.sshfsNear), g.sshNear
	}
	var want []string
	met := true
	if least > 0 && faster > 0 {
		want, met = append(want, fmt.Sprintf(">= %g", least)), met && faster >= least
	}
	if most > 0 && slower > 0 {
		want, met = append(want, fmt.Sprintf("<= %g", most)), met && slower <= most
	}
	if !met {
		want = append(want, "MISSED")
	}
	return strings.Join(want, ", ")
}

// writeAligned writes a table whose first column is text and whose others are numbers.
func writeAligned(out *strings.Builder, lines [][]string) {
	widths := make([]int, len(header))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell), 3)
		}
	}
	for i, line := range lines {
		for j, cell := range line {
			if j == 0 {
				fmt.Fprintf(out, "| %-*s ", widths[j], cell)
			} else {
				fmt.Fprintf(out, "| %*s ", widths[j], cell)
			}
		}
		out.WriteString("|\n")
		if i == 0 {
			for j, w := range widths {
				out.WriteString("|" + strings.Repeat("-", w+1) + map[bool]string{true: "-", false: ":"}[j == 0])
			}
			out.WriteString("|\n")
		}
	}
}
