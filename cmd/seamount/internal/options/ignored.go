package options

import (
	"slices"
	"strings"
)

// isIgnored tells whether an option is accepted without effect: it asks for
// what seamount does anyway, tunes what it does not have, or is meant for
// mount(8), systemd and their kin.
func isIgnored(name string) bool {
	return slices.Contains(ignored(), name) ||
		strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-")
}

func ignored() []string {
	return []string{
		// mount(8), fstab, autofs
		"auto", "noauto", "nouser", "users", "nousers", "owner", "noowner", "group", "nogroup",
		"_netdev", "nofail", "defaults", "comment", "mand", "nomand", "silent", "loud", "subtype",
		"iversion", "noiversion", "lazytime", "nolazytime", "atime", "relatime", "norelatime",
		"diratime", "nodiratime", "strictatime", "nostrictatime",
		// sshfs: done anyway
		"reconnect", "transform_symlinks", "no_check_root", "workaround", "ssh_protocol",
		"max_read", "max_write", "unreliable_append", "delay_connect", "nomap", "direct_io",
		// sshfs: tuning of its cache
		"sync_readdir", "dcache_dir_timeout", "dcache_link_timeout", "dcache_max_size",
		"dcache_clean_interval", "dcache_min_clean_interval", "cache_dir_timeout",
		"cache_link_timeout", "cache_max_size", "cache_clean_interval", "cache_min_clean_interval",
		// libfuse
		"kernel_cache", "auto_cache", "ac_attr_timeout", "entry_timeout", "negative_timeout",
		"noforget", "remember", "auto_unmount", "no_rofd_flush", "clone_fd", "max_threads",
		"max_idle_threads", "max_background", "congestion_threshold", "big_writes", "large_read",
		"use_ino", "readdir_ino", "hard_remove", "intr", "intr_signal", "async_read", "sync_read",
		"atomic_o_trunc", "no_remote_lock", "no_remote_flock", "no_remote_posix_lock",
		"splice_read", "splice_write", "splice_move", "no_splice_read", "no_splice_write",
		"no_splice_move", "writeback_cache", "max_readahead",
	}
}
