package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// get waits for a call that must succeed.
func get[T any](t testing.TB, c *Call[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	v, err := c.Wait(ctx)
	if err != nil {
		t.Fatalf("%s: %v", c.op, err)
	}
	return v
}

// fails waits for a call that must fail with a status.
func fails[T any](t testing.TB, c *Call[T]) *StatusError {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.Wait(ctx)
	var st *StatusError
	if !errors.As(err, &st) {
		t.Fatalf("%s: %v, want a status", c.op, err)
	}
	return st
}

func TestFileLife(t *testing.T) {
	onServers(t, func(t *testing.T, s *Session, dir string) {
		ctx := t.Context()
		get(t, s.Mkdir(ctx, "d", Attrs{Flags: AttrPermissions, Mode: 0o755}))
		h := get(t, s.Open(ctx, "d/f", OpenRead|OpenWrite|OpenCreat|OpenExcl, modeOnly))
		get(t, s.Write(ctx, h, 0, []byte("hello world")))
		if a := get(t, s.Fstat(ctx, h)); a.Size != 11 || a.Mode&0o777 != 0o600 || a.Flags != attrKnown {
			t.Errorf("Fstat: %+v", a)
		}
		get(t, s.Fsetstat(ctx, h, Attrs{Flags: AttrSize, Size: 5}))
		buf := make([]byte, 20)
		if n := get(t, s.Read(ctx, h, 1, buf)); string(buf[:n]) != "ello" {
			t.Errorf("Read: %q", buf[:n])
		}
		if _, err := s.Read(ctx, h, 5, buf).Wait(ctx); err != io.EOF {
			t.Errorf("Read at the end: %v", err)
		}
		get(t, s.CloseHandle(ctx, h))
		fails(t, s.CloseHandle(ctx, h))

		get(t, s.Setstat(ctx, "d/f", Attrs{Flags: AttrACModTime, Atime: 1000, Mtime: 2000}))
		get(t, s.Setstat(ctx, "d/f", Attrs{Flags: AttrPermissions, Mode: 0o640}))
		if a := get(t, s.Stat(ctx, "d/f")); a.Mtime != 2000 || a.Mode != 0o100640 {
			t.Errorf("Stat: %+v", a)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "d/f")); err != nil || string(b) != "hello" {
			t.Errorf("on the server: %q, %v", b, err)
		}
		get(t, s.Rename(ctx, "d/f", "d/g"))
		get(t, s.Remove(ctx, "d/g"))
		get(t, s.Rmdir(ctx, "d"))
		if _, err := s.Lstat(ctx, "d").Wait(ctx); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Lstat of nothing: %v", err)
		}
	})
}

func TestLinks(t *testing.T) {
	onServers(t, func(t *testing.T, s *Session, dir string) {
		ctx := t.Context()
		// Absolute: pkg/sftp's server would make it so.
		get(t, s.Symlink(ctx, "/no/such", "l"))
		if target, err := os.Readlink(filepath.Join(dir, "l")); err != nil || target != "/no/such" {
			t.Errorf("on the server: %q, %v", target, err)
		}
		if target := get(t, s.Readlink(ctx, "l")); target != "/no/such" {
			t.Errorf("Readlink: %q", target)
		}
		if a := get(t, s.Lstat(ctx, "l")); a.Mode&0o170000 != 0o120000 {
			t.Errorf("Lstat: %+v", a)
		}
		if st := fails(t, s.Stat(ctx, "l")); st.Code != StatusNoSuchFile {
			t.Errorf("Stat of a dangling link: %v", st)
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		if path := get(t, s.Realpath(ctx, ".")); path != real {
			t.Errorf("Realpath: %q, want %q", path, real)
		}
	})
}

func TestList(t *testing.T) {
	const count = 250
	onServers(t, func(t *testing.T, s *Session, dir string) {
		ctx := t.Context()
		want := []string{"not \xff UTF-8"}
		for i := range count {
			want = append(want, fmt.Sprintf("f%03d", i))
		}
		for _, name := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("abc"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h := get(t, s.Opendir(ctx, "."))
		got := list(t, s, h)
		get(t, s.CloseHandle(ctx, h))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d names, want %d", len(got), len(want))
		}
	})
}

// list reads a directory to its end with requests sent ahead.
func list(t testing.TB, s *Session, h Handle) (names []string) {
	t.Helper()
	const ahead = 4
	var calls []*Call[[]Name]
	for {
		for len(calls) < ahead {
			calls = append(calls, s.Readdir(t.Context(), h))
		}
		batch, err := calls[0].Wait(t.Context())
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		calls = calls[1:]
		for _, n := range batch {
			if n.Name == "." || n.Name == ".." {
				continue
			}
			if n.Attrs.Size != 3 || n.LongName == "" {
				t.Errorf("entry %+v", n)
			}
			names = append(names, n.Name)
		}
	}
}

func TestExtensionsOnServers(t *testing.T) {
	onServers(t, func(t *testing.T, s *Session, dir string) {
		ctx, caps := t.Context(), s.Caps()
		for _, name := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !caps.PosixRename || !caps.Statvfs || !caps.Hardlink {
			t.Fatalf("Caps: %+v", caps)
		}
		get(t, s.PosixRename(ctx, "a", "b"))
		get(t, s.Hardlink(ctx, "b", "c"))
		if b, err := os.ReadFile(filepath.Join(dir, "c")); err != nil || string(b) != "a" {
			t.Errorf("after rename and link: %q, %v", b, err)
		}
		if v := get(t, s.Statvfs(ctx, ".")); v.Blocks == 0 || v.Frsize == 0 || v.Namemax != 255 {
			t.Errorf("Statvfs: %+v", v)
		}
		if caps.CopyData { // only OpenSSH
			onlyOpenSSH(t, s, dir)
		}
	})
}

// onlyOpenSSH tries what no other server here has.
func onlyOpenSSH(t *testing.T, s *Session, dir string) {
	ctx := t.Context()
	if c := s.Caps(); c.MaxPacket != 262144 || c.MaxRead != 261120 || c.MaxWrite != 261120 || c.MaxHandles == 0 {
		t.Errorf("Caps: %+v", c)
	}
	from := get(t, s.Open(ctx, "b", OpenRead, Attrs{}))
	to := get(t, s.Open(ctx, "copy", OpenWrite|OpenCreat, modeOnly))
	get(t, s.CopyData(ctx, from, 0, 1, to, 2))
	if st := fails(t, s.CopyData(ctx, from, 0, 1<<20, to, 3)); st.Code != StatusEOF {
		t.Errorf("CopyData beyond the end: %v", st)
	}
	get(t, s.Fsync(ctx, to))
	if v := get(t, s.Fstatvfs(ctx, to)); v.Blocks == 0 {
		t.Errorf("Fstatvfs: %+v", v)
	}
	get(t, s.CloseHandle(ctx, from))
	get(t, s.CloseHandle(ctx, to))
	if b, err := os.ReadFile(filepath.Join(dir, "copy")); err != nil || string(b) != "\x00\x00aa" {
		t.Errorf("copied: %q, %v", b, err)
	}
	get(t, s.Lsetstat(ctx, "copy", Attrs{Flags: AttrACModTime, Atime: 1, Mtime: 2}))
	if a := get(t, s.Lstat(ctx, "copy")); a.Mtime != 2 {
		t.Errorf("Lstat: %+v", a)
	}
	home := get(t, s.HomeDirectory(ctx, "root"))
	if path := get(t, s.ExpandPath(ctx, "~root")); path != home || home == "" {
		t.Errorf("home %q, ~root %q", home, path)
	}
	r := get(t, s.UsersGroups(ctx, []uint32{4_000_000_000, 0}, []uint32{0}))
	if !slices.Equal(r.Users, []string{"", "root"}) || !slices.Equal(r.Groups, []string{"root"}) {
		t.Errorf("UsersGroups: %+v", r)
	}
}

// A few megabytes go out and back, many requests at a time, unharmed.
func TestBulk(t *testing.T) {
	onServers(t, func(t *testing.T, s *Session, _ string) {
		data := make([]byte, 5<<20+123)
		rnd := rand.NewChaCha8([32]byte{1})
		_, _ = rnd.Read(data)
		h := get(t, s.Open(t.Context(), "bulk", OpenRead|OpenWrite|OpenCreat, modeOnly))
		writeAll(t, s, h, data)
		if got := readAll(t, s, h, len(data)); !bytes.Equal(got, data) {
			t.Error("not what was written")
		}
		get(t, s.CloseHandle(t.Context(), h))
	})
}

func writeAll(t testing.TB, s *Session, h Handle, data []byte) {
	t.Helper()
	size := s.Caps().MaxWrite
	var calls []*Call[struct{}]
	for off := 0; off < len(data); off += size {
		p := data[off:min(off+size, len(data))]
		calls = append(calls, s.Write(t.Context(), h, uint64(off), p))
	}
	for _, c := range calls {
		get(t, c)
	}
}

func readAll(t testing.TB, s *Session, h Handle, n int) []byte {
	t.Helper()
	data, size := make([]byte, n), s.Caps().MaxRead
	var calls []*Call[int]
	for off := 0; off < n; off += size {
		calls = append(calls, s.Read(t.Context(), h, uint64(off), data[off:min(off+size, n)]))
	}
	for i, c := range calls {
		want := min(size, n-i*size)
		if got := get(t, c); got != want {
			t.Fatalf("READ %d brought %d bytes, want %d", i, got, want)
		}
	}
	return data
}

// Requests of many callers at once, half of them given up, leave a session
// that works and no handle open on the server.
func TestManyCallers(t *testing.T) {
	onServers(t, func(t *testing.T, s *Session, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := openFiles(t, s)
		const callers, rounds = 8, 50
		errs := make(chan error, callers)
		for i := range callers {
			go func() {
				var err error
				for j := 0; j < rounds && err == nil; j++ {
					err = openAndRead(t.Context(), s, (i+j)%2 == 0)
				}
				errs <- err
			}()
		}
		for range callers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		get(t, s.Lstat(t.Context(), "f")) // the replies before it have been seen to
		if after := openFiles(t, s); !slices.Equal(after, before) {
			t.Errorf("files open on the server: %q, before: %q", after, before)
		}
	})
}

// openFiles lists the descriptors of a server that is a process of its own.
func openFiles(t *testing.T, s *Session) (names []string) {
	t.Helper()
	if !s.Caps().CopyData { // not OpenSSH
		return nil
	}
	h := get(t, s.Opendir(t.Context(), "/proc/self/fd"))
	for _, n := range get(t, s.Readdir(t.Context(), h)) {
		names = append(names, n.Name)
	}
	get(t, s.CloseHandle(t.Context(), h))
	slices.Sort(names)
	return names
}

func openAndRead(ctx context.Context, s *Session, giveUp bool) error {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if giveUp {
		cancel()
	}
	h, err := s.Open(ctx, "f", OpenRead, Attrs{}).Wait(wait)
	if err != nil {
		if giveUp && err == context.Canceled {
			return nil
		}
		return err
	}
	buf := make([]byte, 10)
	n, err := s.Read(ctx, h, 0, buf).Wait(ctx)
	if err != nil || string(buf[:n]) != "data" {
		return fmt.Errorf("Read = %q, %v", buf[:n], err)
	}
	_, err = s.CloseHandle(ctx, h).Wait(ctx)
	return err
}
