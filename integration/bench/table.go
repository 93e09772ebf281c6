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
			t.rows = append(t.rows, row{name: r.cpuRow()})
		}
	}
}

// String is the table as Markdown that also reads well as it is.
func (t *table) String() string {
	t.faults = nil
	lines := [][]string{{"", "sshfs", "seamount", "ssh", "sshfs/seamount", "seamount/ssh", "goal"}}
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
	of := map[string]sample{}
	for _, c := range []string{sshfs, seamount, plainSSH} {
		s, ok := t.results.median(r.name, c)
		if ok {
			of[c] = s
		}
		line = append(line, t.cell(c, s, ok))
	}
	faster, slower := divide(of[sshfs], of[seamount]), divide(of[seamount], of[plainSSH])
	return append(line, faster.String(), slower.String(), goalOf(r.name).at(t.rtt).say(faster, slower))
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

// A ratio is of two times; 0 where there is none.
type ratio struct {
	value float64
	// atLeast is set where the first was cut at the limit, atMost where the second was.
	atLeast, atMost bool
}

func divide(a, b sample) ratio {
	if a.took == 0 || b.took == 0 {
		return ratio{}
	}
	return ratio{float64(a.took) / float64(b.took), a.cut, b.cut}
}

func (r ratio) String() string {
	switch {
	case r.value == 0 || r.atLeast && r.atMost:
		return "-"
	case r.atLeast:
		return fmt.Sprintf("> %.2f", r.value)
	case r.atMost:
		return fmt.Sprintf("< %.2f", r.value)
	}
	return fmt.Sprintf("%.2f", r.value)
}

// writeAligned writes a table whose first column is text and whose others are numbers.
func writeAligned(out *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
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
