package main

import (
	"fmt"
	"strings"
	"time"
)

// A reach is how fast a row is to be; 0 is no goal.
type reach struct {
	sshfs float64 // times as fast as sshfs, at least
	ssh   float64 // times the time of plain ssh, at most
}

// A goal is what a row is to reach: on loopback (where nothing may be slower
// than with sshfs), at a distance, and at 100 ms or more if that is another.
type goal struct{ near, far, farther reach }

// goalOf is what the project set out to reach in a row.
func goalOf(row string) goal {
	return map[string]goal{
		"find":                   {far: reach{4, 1.2}},
		"cp -r out":              {far: reach{15, 2}},
		"grep -r":                {far: reach{15, 2}},
		"git status":             {far: reach{15, 3}},
		"git status again":       {far: reach{10, 0}},
		"cp -r in":               {far: reach{2, 0}},
		"rsync -a in":            {far: reach{5, 0}},
		"tar x":                  {far: reach{4.5, 0}},
		"rm -rf":                 {far: reach{1.25, 0}},
		"sequential read":        {reach{2.5, 1}, reach{5, 1}, reach{5, 0.25}},
		"sequential write":       {reach{2.5, 1}, reach{1, 1}, reach{1, 0.25}},
		"copy inside":            {far: reach{4, 1.2}},
		"30 safe saves":          {far: reach{2, 0}},
		"10 stats during a read": {far: reach{1, 0}},
	}[row]
}

func (g goal) at(rtt time.Duration) reach {
	switch {
	case rtt == 0:
		g.near.sshfs = max(1, g.near.sshfs)
		return g.near
	case rtt >= 100*time.Millisecond && g.farther != reach{}:
		return g.farther
	}
	return g.far
}

// say tells what a row was to reach, and when it has not. What was cut at the
// limit may leave that open.
func (r reach) say(faster, slower ratio) string {
	var want []string
	missed, open := false, false
	if r.sshfs > 0 && faster.value > 0 {
		want = append(want, fmt.Sprintf(">= %g", r.sshfs))
		missed = faster.value < r.sshfs && !faster.atLeast || faster.atMost
		open = faster.value < r.sshfs && faster.atLeast
	}
	if r.ssh > 0 && slower.value > 0 {
		want = append(want, fmt.Sprintf("<= %g", r.ssh))
		missed = missed || slower.value > r.ssh
	}
	switch {
	case missed:
		want = append(want, "MISSED")
	case open:
		want = append(want, "open")
	}
	return strings.Join(want, ", ")
}
