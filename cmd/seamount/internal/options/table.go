package options

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setter puts the value of an option into m.
type setter func(m *Mount, value string, hasValue bool) error

// table maps the options that mean something here to what sets them.
func table() map[string]setter {
	t := make(map[string]setter)
	maps.Copy(t, serverOptions())
	maps.Copy(t, mountOptions())
	maps.Copy(t, cacheOptions())
	maps.Copy(t, refusedOptions())
	for _, f := range []string{
		"nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "dirsync",
	} {
		t[f] = flag(func(m *Mount) { m.Kernel = append(m.Kernel, f) })
	}
	return t
}

func names(t map[string]setter) []string { return slices.Sorted(maps.Keys(t)) }

func serverOptions() map[string]setter {
	return map[string]setter{
		"port":           number(1, 65535, func(m *Mount, n int64) { m.Port = int(n) }),
		"sftp_server":    text(func(m *Mount, v string) { m.SFTPServer = v }),
		"password_stdin": flag(func(m *Mount) { m.PasswordFrom = FromStdin }),
		"max_conns":      number(1, 64, func(m *Mount, n int64) { m.MaxConns = int(n) }),
		// For when a lost connection is made again; now its calls fail at once.
		"timeout": duration(func(*Mount, time.Duration) {}),
		// fstab's user has no value, ssh_config's has one.
		"user": func(m *Mount, v string, hasValue bool) error {
			if hasValue {
				m.SSH = append(m.SSH, "User="+v)
			}
			return nil
		},
	}
}

func mountOptions() map[string]setter {
	return map[string]setter{
		"ro":                  flag(func(m *Mount) { m.ReadOnly = true }),
		"rw":                  flag(func(m *Mount) { m.ReadOnly = false }),
		"allow_other":         flag(func(m *Mount) { m.AllowOther = true }),
		"allow_root":          flag(func(m *Mount) { m.AllowRoot = true }),
		"default_permissions": flag(func(m *Mount) { m.DefaultPermissions = true }),
		"nonempty":            flag(func(m *Mount) { m.NonEmpty = true }),
		"fsname":              text(func(m *Mount, v string) { m.FsName = v }),
		"debug":               flag(func(m *Mount) { m.Debug = true }),
		"sshfs_debug":         flag(func(m *Mount) { m.Debug = true }),

		"symlinks": oneOf(func(m *Mount, v string) { m.Symlinks = Symlinks(v) },
			string(SymlinksContain), string(SymlinksRaw), string(SymlinksFollow)),
		"follow_symlinks":     flag(func(m *Mount) { m.Symlinks = SymlinksFollow }),
		"contain_symlinks":    flag(func(m *Mount) { m.Symlinks = SymlinksContain }),
		"no_contain_symlinks": flag(func(m *Mount) { m.Symlinks = SymlinksRaw }),

		"idmap": oneOf(func(m *Mount, v string) { m.IDMap = IDMap(v) },
			string(IDMapUser), string(IDMapNone), string(IDMapFile), string(IDMapName)),
		"uidfile": text(func(m *Mount, v string) { m.UIDFile = v }),
		"gidfile": text(func(m *Mount, v string) { m.GIDFile = v }),
		"uid":     id(10, math.MaxUint32-1, func(m *Mount, n *uint32) { m.UID = n }),
		"gid":     id(10, math.MaxUint32-1, func(m *Mount, n *uint32) { m.GID = n }),
		"umask":   id(8, 0o777, func(m *Mount, n *uint32) { m.Umask = n }),
	}
}

func cacheOptions() map[string]setter {
	ttl := duration(func(m *Mount, d time.Duration) { m.AttrTTL = &d })
	noPrefetch := flag(func(m *Mount) { m.Prefetch = false })
	sync := flag(func(m *Mount) { m.Durability = DurabilityCall })
	dirCache := yesNo(func(m *Mount, yes bool) {
		if m.AttrTTL = nil; !yes {
			m.AttrTTL = new(time.Duration)
		}
	})
	return map[string]setter{
		"durability": durability,
		"sync":       sync,
		"sshfs_sync": sync,

		"attr_ttl":            ttl,
		"attr_timeout":        ttl,
		"dcache_timeout":      ttl,
		"dcache_stat_timeout": ttl,
		"cache_timeout":       ttl,
		"cache_stat_timeout":  ttl,
		"attr_ttl_min":        duration(func(m *Mount, d time.Duration) { m.AttrTTLMin = d }),
		"attr_ttl_max":        duration(func(m *Mount, d time.Duration) { m.AttrTTLMax = d }),
		"open_ttl":            duration(func(m *Mount, d time.Duration) { m.OpenTTL = &d }),
		"cache":               dirCache,
		"dir_cache":           dirCache,
		"cache_size":          size(func(m *Mount, n int64) { m.CacheSize = n }),
		"prefetch":            yesNo(func(m *Mount, yes bool) { m.Prefetch = yes }),
		"no_readahead":        noPrefetch,
	}
}

// refusedOptions would change what the mount does, and cannot be honoured.
func refusedOptions() map[string]setter {
	refuse := func(why string) setter {
		return func(*Mount, string, bool) error { return errors.New(why) }
	}
	noStream := refuse("seamount reaches servers over SSH only")
	return map[string]setter{
		"async":            refuse("it needs a journal, which this version does not have; leave it out"),
		"hard":             refuse("calls of this version fail when the connection is lost; leave it out"),
		"ssh_command":      refuse("seamount speaks SSH itself; put what ssh should do into ssh_config, or use -o ProxyCommand=..."),
		"directport":       noStream,
		"vsock":            noStream,
		"passive":          noStream,
		"slave":            noStream,
		"modules":          refuse("there are no modules; mount the subdirectory itself"),
		"disable_hardlink": refuse("hard links cannot be switched off"),
	}
}

func durability(m *Mount, v string, hasValue bool) error {
	if v == "fsync" {
		return errors.New("it needs a journal, which this version does not have; use close or call")
	}
	return oneOf(func(m *Mount, v string) { m.Durability = Durability(v) },
		string(DurabilityCall), string(DurabilityClose))(m, v, hasValue)
}

func flag(set func(m *Mount)) setter {
	return func(m *Mount, _ string, hasValue bool) error {
		if hasValue {
			return errors.New("it takes no value")
		}
		set(m)
		return nil
	}
}

func text(set func(m *Mount, v string)) setter {
	return func(m *Mount, v string, _ bool) error {
		if v == "" {
			return errors.New("it needs a value")
		}
		set(m, v)
		return nil
	}
}

func oneOf(set func(m *Mount, v string), values ...string) setter {
	return func(m *Mount, v string, _ bool) error {
		if !slices.Contains(values, v) {
			return errors.New("it takes one of: " + strings.Join(values, ", "))
		}
		set(m, v)
		return nil
	}
}

func yesNo(set func(m *Mount, yes bool)) setter {
	return oneOf(func(m *Mount, v string) { set(m, v == "yes") }, "yes", "no")
}

func number(low, high int64, set func(m *Mount, n int64)) setter {
	return func(m *Mount, v string, _ bool) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("it takes a number from %d to %d", low, high)
		}
		set(m, n)
		return nil
	}
}

func id(base int, high uint64, set func(m *Mount, n *uint32)) setter {
	return func(m *Mount, v string, _ bool) error {
		n, err := strconv.ParseUint(v, base, 32)
		if err != nil || n > high {
			return fmt.Errorf("it takes a number from 0 to %s, base %d", strconv.FormatUint(high, base), base)
		}
		u := uint32(n)
		set(m, &u)
		return nil
	}
}

// duration takes seconds, with or without a fraction, or what
// time.ParseDuration takes.
func duration(set func(m *Mount, d time.Duration)) setter {
	return func(m *Mount, v string, _ bool) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			d, err = time.ParseDuration(v + "s")
		}
		if err != nil || d < 0 {
			return errors.New("it takes a time, such as 20, 1.5 or 2m")
		}
		set(m, d)
		return nil
	}
}

// size takes bytes, or a number with K, M or G for powers of 1024.
func size(set func(m *Mount, n int64)) setter {
	return func(m *Mount, v string, _ bool) error {
		number, unit := v, int64(1)
		if i := strings.IndexAny(v, "kKmMgG"); i > 0 && i == len(v)-1 {
			number = v[:i]
			unit = map[byte]int64{'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}[v[i]|0x20]
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 1 || n > math.MaxInt64/unit {
			return errors.New("it takes a number of bytes, such as 64M or 1G")
		}
		set(m, n*unit)
		return nil
	}
}
