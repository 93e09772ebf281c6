package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// reference is how the documentation names a test: [package.TestName] or
// [package.TestName/sub-test].
var reference = regexp.MustCompile(`\[([a-z]+)\.((?:Test|Fuzz)\w+)(?:/([^\]]+))?\]`)

// testSources are the test files of the module as one text for each package,
// by the last element of its directory.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	must(t, filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		dir, absErr := filepath.Abs(filepath.Dir(path))
		must(t, absErr)
		sources[filepath.Base(dir)] += string(text)
		return err
	}))
	return sources
}

// missing says what of a reference there is not, "" if all is.
func missing(sources map[string]string, ref []string) string {
	pkg, name, sub := ref[1], ref[2], ref[3]
	switch {
	case sources[pkg] == "":
		return "no such package"
	case !strings.Contains(sources[pkg], "\nfunc "+name+"("):
		return "no such test"
	case sub != "" && !hasSubtest(sources[pkg], sub):
		return "no such sub-test"
	}
	return ""
}

// hasSubtest reports whether a package's test files name a sub-test: in a
// string, as one of posixtest's, or as a script.
func hasSubtest(source, sub string) bool {
	_, posix := posixtest.All[sub]
	scripts, _ := filepath.Glob("../cmd/seamount/testdata/" + sub + ".txt")
	return posix || len(scripts) > 0 || strings.Contains(source, `"`+strings.ReplaceAll(sub, "_", " ")+`"`)
}

// TestDocsNameTests: every test that the documentation names exists.
func TestDocsNameTests(t *testing.T) {
	sources := testSources(t)
	for _, doc := range []string{"../docs/semantics.md", "../README.md"} {
		text, err := os.ReadFile(doc)
		must(t, err)
		refs := reference.FindAllStringSubmatch(string(text), -1)
		if len(refs) == 0 {
			t.Errorf("%s names no test", doc)
		}
		for _, ref := range refs {
			if what := missing(sources, ref); what != "" {
				t.Errorf("%s: %s: %s", doc, ref[0], what)
			}
		}
		// What looks like a test and is not written as one would go unchecked.
		for line := range lines(reference.ReplaceAll(text, nil)) {
			if regexp.MustCompile(`\b(Test|Fuzz)[A-Z]`).MatchString(line) {
				t.Errorf("%s: a test is named, but not as [package.TestName]: %s", doc, line)
			}
		}
	}
}

// TestDocsLinks: every file that the documentation links to exists.
func TestDocsLinks(t *testing.T) {
	docs, err := filepath.Glob("../docs/*.md")
	must(t, err)
	links := 0
	for _, doc := range append(docs, "../README.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(doc)
		must(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), link[1])); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
	if links < 5 {
		t.Errorf("only %d links were found", links)
	}
}

// promises are the items and the rows of tables of a document, up to the
// section of what is not promised.
func promises(text string) (all []string) {
	text, _, _ = strings.Cut(text, "\n## Not promised")
	before := ""
	for line := range lines([]byte(text)) {
		switch {
		case strings.HasPrefix(line, "|---"):
			all = all[:len(all)-1] // the line above was the head of the table
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "|"):
			all = append(all, line)
		case strings.HasPrefix(line, "  ") && before != "" && len(all) > 0:
			all[len(all)-1] += " " + strings.TrimSpace(line)
		}
		before = line
	}
	return all
}

// TestPromisesAreTested: docs/semantics.md promises nothing without a test.
func TestPromisesAreTested(t *testing.T) {
	text, err := os.ReadFile("../docs/semantics.md")
	must(t, err)
	all := promises(string(text))
	if len(all) < 50 {
		t.Errorf("only %d promises were found", len(all))
	}
	for _, p := range all {
		if !reference.MatchString(p) {
			t.Errorf("no test is named for: %s", p)
		}
	}
}

// TestDocsThemselves: the checks above see what is wrong.
func TestDocsThemselves(t *testing.T) {
	sources := testSources(t)
	for ref, want := range map[string]string{
		"[integration.TestDocsThemselves]":     "",
		"[integration.TestPosix/Link]":         "",
		"[seamount.TestScripts/user]":          "",
		"[integration.TestErrnoEnospc/mkdir]":  "",
		"[integration.TestNoSuchThing]":        "no such test",
		"[nowhere.TestPosix]":                  "no such package",
		"[integration.TestPosix/" + "Nothing]": "no such sub-test",
	} {
		if got := missing(sources, reference.FindStringSubmatch(ref)); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
	doc := "text\n- one\n  [a]\n- two\n\n  far\n| head |\n|---|\n| row |\n\n## Not promised\n- three\n"
	if got, want := promises(doc), []string{"- one [a]", "- two", "| row |"}; !slices.Equal(got, want) {
		t.Errorf("promises: %q, want %q", got, want)
	}
}
