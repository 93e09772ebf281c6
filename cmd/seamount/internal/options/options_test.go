package options

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"":              nil,
		"ro":            {"ro"},
		"a,b=c":         {"a", "b=c"},
		",a,,b,":        {"a", "b"},
		`a=b\,c,d`:      {"a=b,c", "d"},
		`a=b\\,c`:       {`a=b\`, "c"},
		`a\`:            {`a\`},
		`a=x\040y\054z`: {"a=x y,z"},
		`a=\09`:         {"a=09"},
		`a=\400`:        {"a=400"},
	} {
		if diff := cmp.Diff(want, split(in)); diff != "" {
			t.Errorf("split(%q): %s", in, diff)
		}
	}
}

// changed returns the fields in which m differs from the defaults.
func changed(m *Mount) map[string]any {
	got, def := reflect.ValueOf(*m), reflect.ValueOf(*New())
	out := make(map[string]any)
	for i := range got.NumField() {
		v := got.Field(i)
		if reflect.DeepEqual(v.Interface(), def.Field(i).Interface()) {
			continue
		}
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		out[got.Type().Field(i).Name] = v.Interface()
	}
	return out
}

func TestParse(t *testing.T) {
	type fields = map[string]any
	for in, want := range map[string]fields{
		"": {},
		"ro,allow_other,default_permissions,nonempty": {
			"ReadOnly": true, "AllowOther": true, "DefaultPermissions": true, "NonEmpty": true},
		"ro,rw":                                    {},
		"port=2222":                                {"Port": 2222},
		"sync":                                     {"Durability": DurabilityCall},
		"sshfs_sync":                               {"Durability": DurabilityCall},
		"sync,durability=close":                    {},
		"durability=call":                          {"Durability": DurabilityCall},
		"symlinks=raw":                             {"Symlinks": SymlinksRaw},
		"no_contain_symlinks":                      {"Symlinks": SymlinksRaw},
		"follow_symlinks":                          {"Symlinks": SymlinksFollow},
		"symlinks=raw,contain_symlinks":            {},
		"idmap=none,uid=1000,gid=0,umask=027":      {"IDMap": IDMapNone, "UID": uint32(1000), "GID": uint32(0), "Umask": uint32(0o27)},
		"idmap=file,uidfile=/u,nomap=ignore":       {"IDMap": IDMapFile, "UIDFile": "/u"},
		"dcache_timeout=5":                         {"AttrTTL": 5 * time.Second},
		"dir_cache=no":                             {"AttrTTL": time.Duration(0)},
		"cache=no,cache=yes":                       {},
		"open_ttl=0,attr_ttl_min=1.5":              {"OpenTTL": time.Duration(0), "AttrTTLMin": 1500 * time.Millisecond},
		"cache_size=64M,prefetch=no":               {"CacheSize": int64(64 << 20), "Prefetch": false},
		"cache_size=2g":                            {"CacheSize": int64(2 << 30)},
		"no_readahead":                             {"Prefetch": false},
		"timeout=2m":                               {},
		"password_stdin,max_conns=4":               {"PasswordFrom": FromStdin, "MaxConns": 4},
		"identityfile=/k,StrictHostKeyChecking=no": {"SSH": []string{"IdentityFile=/k", "StrictHostKeyChecking=no"}},
		`ProxyCommand=nc -X 5 %h\, %p`:             {"SSH": []string{"ProxyCommand=nc -X 5 %h, %p"}},
		"user":                                     {},
		"user=ann":                                 {"SSH": []string{"User=ann"}},
		"noatime,nosuid":                           {"Kernel": []string{"noatime", "nosuid"}},
		"sftp_server=sudo -n /usr/lib/sftp-server": {"SFTPServer": "sudo -n /usr/lib/sftp-server"},
		// Lines from fstab, lima, docker and distribution wikis.
		"defaults,_netdev,nofail,users,idmap=user,x-systemd.automount,reconnect": {},
		"noauto,x-systemd.device-timeout=10,kernel_cache,auto_cache,big_writes":  {},
		"dcache_max_size=5,workaround=rename:truncate,comment=sshfs":             {},
	} {
		m := New()
		if err := m.Parse(in); err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if err := m.Check(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, changed(m)); diff != "" {
			t.Errorf("%q (-want +got): %s", in, diff)
		}
	}
}

func TestUnknown(t *testing.T) {
	for in, near := range map[string]string{
		"reconect":           "reconnect",
		"allow_othr":         "allow_other",
		"identitfyile=/k":    "IdentityFile",
		"stricthostkeychek":  "StrictHostKeyChecking",
		"durabilty=call":     "durability",
		"qwertyuiop":         "",
		"or":                 "ro",
		"=":                  "",
		"ro,defualts":        "defaults",
		"-oProxyCommand=foo": "ProxyCommand",
	} {
		err := New().Parse(in)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%q: %v, want an UnknownError", in, err)
			continue
		}
		if unknown.Nearest != near {
			t.Errorf("%q: nearest %q, want %q", in, unknown.Nearest, near)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %q", in, err)
		}
	}
}

func TestBadValue(t *testing.T) {
	for _, in := range []string{
		"port=0", "port=65536", "port=ssh", "port", "durability=never", "durability=fsync", "async",
		"symlinks=maybe", "idmap", "uid=-1", "uid=4294967295", "umask=1000", "umask=8", "cache_size=0",
		"cache_size=9999999999G", "cache_size=M", "timeout=-1", "timeout=soon", "attr_ttl=", "ro=1",
		"ssh_command=ssh", "directport=22", "passive", "fsname=", "IdentityFile", "dir_cache=maybe",
		"max_conns=0", "modules=subdir", "hard",
	} {
		err := New().Parse(in)
		var value *ValueError
		if !errors.As(err, &value) {
			t.Errorf("%q: %v, want a ValueError", in, err)
			continue
		}
		if value.Option != in {
			t.Errorf("%q: the error is about %q", in, value.Option)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, in := range []string{
		"idmap=file", "uidfile=/u", "allow_other,allow_root", "attr_ttl_min=9,attr_ttl_max=3",
	} {
		m := New()
		if err := m.Parse(in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if err := m.Check(); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

// TestNamesOnce: an option that is ignored and has a meaning, or is an ssh
// keyword and ignored, would hide a mistake in the tables.
func TestNamesOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, n := range append(names(table()), ignored()...) {
		if seen[n] {
			t.Errorf("%q stands in two tables", n)
		}
		seen[n] = true
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ro,a=b", `a\,b`, `\`, `\101`, "port=1", "cache_size=1G", "uid=0", "=", "Port=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := New().Parse(s)
		var unknown *UnknownError
		var value *ValueError
		if err != nil && !errors.As(err, &unknown) && !errors.As(err, &value) {
			t.Errorf("%q: untyped error %v", s, err)
		}
	})
}
