package fs

import (
	"log/slog"
	"os"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Options of a mount. The zero value is a mount for the mounting user alone.
type Options struct {
	// AllowOther lets all users in, and implies DefaultPermissions. For a
	// mounting user other than root it needs user_allow_other in
	// /etc/fuse.conf.
	AllowOther bool
	// AllowRoot lets root in beside the mounting user; same condition.
	AllowRoot bool
	// ReadOnly refuses every change with EROFS.
	ReadOnly bool
	// DefaultPermissions has the kernel check permissions by the attributes
	// shown. Without it the server alone decides.
	DefaultPermissions bool
	// NonEmpty allows a mountpoint with something in it.
	NonEmpty bool

	Symlinks SymlinkMode
	// Root is the absolute path of the mounted directory on the server, for
	// containing absolute targets; empty when it is not known.
	Root string

	IDMap IDMap
	// UID, GID and Umask, if set, are shown in place of what the server says:
	// Umask makes every permission 0777 without its bits.
	UID, GID, Umask *uint32
	// NewFilesToCaller gives new files to the user who makes them, for a mount
	// by root of a root account. The group of a directory with the set-group-ID
	// bit is inherited as on a local disk.
	NewFilesToCaller bool

	// FsName is the source shown in /proc/mounts.
	FsName string
	// ExtraOptions are further options of mount(8).
	ExtraOptions []string

	// Notifier, if set, is attached to the mount.
	Notifier *Notifier
	// Log is told of what no program can be told; nil: slog's default.
	Log *slog.Logger
	// Debug, if set, gets one line per FUSE request, at level Debug.
	Debug *slog.Logger
}

// withDefaults fills in what o leaves open.
func (o Options) withDefaults() Options {
	if o.AllowOther {
		o.DefaultPermissions = true
		o.AllowRoot = false
	}
	if o.Notifier == nil {
		o.Notifier = NewNotifier()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

const (
	// maxTransfer is the largest READ and WRITE, in bytes: what the kernel
	// takes by default (256 pages).
	maxTransfer = 1 << 20
	// maxBackground bounds the read-ahead and write-back requests in flight.
	maxBackground = 64
)

// fuseOptions returns what go-fuse is told for o, which has its defaults.
//
// Capabilities left out on purpose: HANDLE_KILLPRIV (the kernel then clears
// set-id bits itself, with a SETATTR, as on a local disk), WRITEBACK_CACHE (the
// kernel would ignore the server's sizes and times), locks (they stay in the
// kernel), DONT_MASK (the kernel applies the umask).
func (o Options) fuseOptions(m *mount) *gofs.Options {
	opts := &gofs.Options{
		MountOptions: fuse.MountOptions{
			AllowOther:               o.AllowOther || o.AllowRoot,
			Options:                  o.mountOptions(),
			FsName:                   o.FsName,
			Name:                     "seamount",
			MaxWrite:                 maxTransfer,
			MaxBackground:            maxBackground,
			DisableXAttrs:            true,
			DisableSplice:            true,
			EnableSymlinkCaching:     true,
			ExplicitDataCacheControl: true,
			ExtraCapabilities:        fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_ASYNC_DIO | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
			PanicHandler:             m.panicked,
			Logger:                   slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		},
		NullPermissions: true,
		RootStableAttr:  &gofs.StableAttr{Ino: fuse.FUSE_ROOT_ID},
		ExternalNodeID:  true,
	}
	if os.Geteuid() == 0 {
		opts.DirectMountStrict = true
		opts.MountOptions.Options, opts.DirectMountFlags = direct(opts.MountOptions.Options)
	}
	return opts
}

// mountOptions returns the options of mount(8) as words, without those that
// go-fuse adds.
func (o Options) mountOptions() []string {
	opts := []string{"nosuid", "nodev"}
	if o.ReadOnly {
		opts = append(opts, "ro")
	}
	if o.DefaultPermissions {
		opts = append(opts, "default_permissions")
	}
	return append(opts, o.ExtraOptions...)
}

// direct splits opts for a mount(2) of our own: fusermount3 knows all of
// these words, mount(2) takes some as flags.
func direct(opts []string) (words []string, flags uintptr) {
	flags = syscall.MS_NOSUID | syscall.MS_NODEV
	known := map[string]uintptr{
		"rw": 0, "atime": 0, "async": 0, "ro": syscall.MS_RDONLY,
		"noatime": syscall.MS_NOATIME, "nodiratime": syscall.MS_NODIRATIME, "relatime": syscall.MS_RELATIME,
		"sync": syscall.MS_SYNCHRONOUS, "dirsync": syscall.MS_DIRSYNC,
	}
	for _, o := range opts {
		if f, ok := known[o]; ok {
			flags |= f
			continue
		}
		words = append(words, o)
	}
	return words, flags
}
