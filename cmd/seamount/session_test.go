package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seamount/cache"
	"seamount/cmd/seamount/internal/options"
	"seamount/conn"
	"seamount/fs"
)

func parse(t *testing.T, list string) *options.Mount {
	t.Helper()
	o := options.New()
	if err := o.Parse(list); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTreeOptions: what is written after -o arrives at the cache.
func TestTreeOptions(t *testing.T) {
	for list, want := range map[string]cache.Options{
		"":                              {},
		"sync":                          {Durability: cache.DurabilityCall},
		"symlinks=follow":               {Follow: true},
		"prefetch=no":                   {NoPrefetch: true, ReadAheadMax: -1},
		"cache_size=1M":                 {ContentBytes: 1 << 20},
		"attr_ttl=5":                    {AttrTTLMin: 5 * time.Second, AttrTTLMax: 5 * time.Second},
		"attr_ttl=0":                    {AttrTTLMin: 1, AttrTTLMax: 1},
		"attr_ttl_min=1,attr_ttl_max=9": {AttrTTLMin: time.Second, AttrTTLMax: 9 * time.Second},
		"open_ttl=2":                    {OpenTTL: 2 * time.Second},
		"open_ttl=0":                    {OpenTTL: -1},
	} {
		s := &session{log: slog.New(slog.DiscardHandler)}
		got := s.treeOptions(parse(t, list), fs.NewNotifier())
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(cache.Options{}, "Invalidate", "Log")); diff != "" {
			t.Errorf("%q (-want +got): %s", list, diff)
		}
		if got.Invalidate == nil || got.Log == nil {
			t.Errorf("%q: no Invalidate or Log", list)
		}
	}
}

// TestIDMapFiles: the files of idmap=file are read, and what is wrong with
// them is told.
func TestIDMapFiles(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(good, []byte("root:1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, []byte("root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]string{
		"idmap=file,uidfile=" + good:                       "",
		"idmap=file,uidfile=" + good + ",gidfile=" + good:  "",
		"idmap=file,gidfile=" + bad:                        "not of the form",
		"idmap=file,uidfile=" + good + ",gidfile=/no/such": "no such file",
		"idmap=user": "",
		"idmap=none": "",
		"idmap=name": "",
	} {
		_, err := idMap(parse(t, list), conn.Info{}, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", list, err, want)
		}
	}
}

func TestReadPassword(t *testing.T) {
	for in, want := range map[string]string{
		"secret\n":                         "secret",
		"secret":                           "secret",
		"secret\r\n":                       "secret",
		"with space \nmore":                "with space ",
		"":                                 "",
		strings.Repeat("x", 2*maxPassword): strings.Repeat("x", maxPassword),
	} {
		r := strings.NewReader(in)
		got, err := readPassword(r)
		if err != nil || got != want {
			t.Errorf("readPassword(%.20q) = %.20q, %v; want %.20q", in, got, err, want)
		}
		if in == "with space \nmore" && r.Len() != len("more") {
			t.Errorf("%d bytes left, want those after the line", r.Len())
		}
	}
}
