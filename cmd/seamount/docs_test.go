package main

import (
	"os"
	"strings"
	"testing"

	"seamount/cmd/seamount/internal/options"
)

// TestDocs: what the documentation shows is what the program shows.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```\n"+options.Help+"```\n") {
		t.Error("docs/options.md does not show what seamount help options shows")
	}
	changes, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if number, _, _ := strings.Cut(version, "-"); !strings.Contains(string(changes), "\n## "+number) {
		t.Errorf("CHANGELOG.md has no version %s", number)
	}
}
