// Command layers enforces the layer rules of the design: which packages of
// this module a package may import, and who may know which library. It fails
// on a package that has no rule, so that a new one gets its place.
//
// It also warns of source files beyond 400 lines, tests not counted.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const module = "seamount"

// maxLines is how long a source file may be without a warning.
const maxLines = 400

// allowed names, for each package, the packages of the module that it may
// import, tests not counted. "..." at the end means all below, and a rule of
// nothing but that all of the module.
func allowed() map[string][]string {
	return map[string][]string{
		"cache":                 {},
		"conn/wire":             {},
		"conn":                  {"cache", "conn/wire"},
		"conn/dial":             {"cache", "conn"},
		"conn/serve":            {},
		"fs":                    {"cache"},
		"cmd/seamount":          {"cache", "conn", "conn/dial", "conn/serve", "fs", "cmd/seamount/internal/..."},
		"cmd/seamount/internal": {},
		"integration":           {"..."},
	}
}

// confined names libraries that only some packages may know. cmd/seamount
// appears where the demo and the wiring need a type.
func confined() map[string][]string {
	return map[string][]string{
		"github.com/hanwen/go-fuse":       {"fs", "integration"},
		"golang.org/x/crypto":             {"conn/dial", "conn/serve", "cmd/seamount", "integration"},
		"github.com/skeema":               {"conn/dial", "integration"},
		"github.com/kevinburke":           {"conn/dial"},
		"github.com/pkg/sftp":             {"conn/serve", "integration"},
		"github.com/spf13":                {"cmd/seamount"},
		"github.com/rogpeppe":             {},
		"github.com/google/go-cmp":        {},
		"go.uber.org/goleak":              {},
		"github.com/stretchr":             {},
		"github.com/hashicorp/golang-lru": {"cache", "conn", "fs"},
	}
}

// pkg is what go list tells.
type pkg struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func main() {
	pkgs, err := list()
	if err == nil {
		for _, w := range longFiles(pkgs) {
			fmt.Fprintln(os.Stderr, "warning:", w)
		}
		err = check(pkgs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// check returns all violations as one error.
func check(pkgs []pkg) error {
	var errs []error
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		rule, place, ok := ruleFor(name)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: no rule says what it may import: give it one in .ci/layers", name))
			continue
		}
		for _, i := range p.Imports {
			if !mayImport(rule, place, i) {
				errs = append(errs, fmt.Errorf("%s: must not import %s", name, i))
			}
		}
	}
	return errors.Join(errs...)
}

// ruleFor returns the rule of the package or of the nearest one above it.
func ruleFor(name string) (rule []string, place string, ok bool) {
	for place = name; place != "."; place = path.Dir(place) {
		if rule, ok = allowed()[place]; ok {
			// A package below one with a rule has its own only where it is said.
			return rule, place, true
		}
	}
	return nil, "", false
}

func mayImport(rule []string, place, imported string) bool {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.ContainsFunc(rule, func(r string) bool {
			below, all := strings.CutSuffix(r, "...")
			return r == own || all && strings.HasPrefix(own, below)
		})
	}
	for library, places := range confined() {
		if imported == library || strings.HasPrefix(imported, library+"/") {
			return slices.Contains(places, place)
		}
	}
	return true
}

// longFiles returns warnings; generated files are left out.
func longFiles(pkgs []pkg) []string {
	var out []string
	for _, p := range pkgs {
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil || bytes.Contains(text, []byte("DO NOT EDIT")) {
				continue
			}
			if n := bytes.Count(text, []byte("\n")); n > maxLines {
				out = append(out, fmt.Sprintf("%s/%s has %d lines, more than %d", p.ImportPath, f, n, maxLines))
			}
		}
	}
	return out
}
