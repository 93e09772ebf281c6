package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// An fsx is a data test in the manner of fsx(8): random operations on the
// content of one file through several ways at once (a descriptor, one that
// appends, shared memory), checked against a buffer.
type fsx struct {
	rng     *rand.Rand
	path    string
	max     int64 // the largest size
	want    []byte
	fd      int // for reading and writing
	append  int // with O_APPEND
	history []string
}

// fsxMax is the largest size of the file: some blocks of any cache.
const fsxMax = 1 << 20

// runFsx executes ops operations on the file path. It leaves the file there,
// closed, and returns what its content must be.
func runFsx(path string, seed uint64, ops int) ([]byte, error) {
	f := &fsx{rng: rand.New(rand.NewPCG(seed, 1)), path: path, max: fsxMax, fd: -1, append: -1}
	if err := f.reopen(unix.O_CREAT | unix.O_TRUNC); err != nil {
		return nil, err
	}
	defer f.close()
	for i := 1; i <= ops; i++ {
		if err := f.step(); err != nil {
			return nil, fmt.Errorf("seed %d, operation %d: %w\nlast operations:\n%s", seed, i, err, f.story())
		}
	}
	if err := f.compare(0, f.max); err != nil {
		return nil, fmt.Errorf("seed %d, at the end: %w", seed, err)
	}
	return f.want, f.close()
}

func (f *fsx) story() string {
	var b bytes.Buffer
	for _, h := range f.history[max(0, len(f.history)-40):] {
		fmt.Fprintln(&b, " ", h)
	}
	return b.String()
}

func (f *fsx) log(format string, args ...any) {
	f.history = append(f.history, fmt.Sprintf("%d: ", len(f.history)+1)+fmt.Sprintf(format, args...))
}

func (f *fsx) step() error {
	kinds := []struct {
		weight int
		do     func() error
	}{
		{20, f.read}, {20, f.write}, {8, f.appendWrite}, {6, f.truncate}, {10, f.mapRead}, {10, f.mapWrite},
		{5, f.copyRange}, {3, f.fsync}, {2, f.drop}, {2, f.stat}, {2, f.allocate}, {2, f.readWhole}, {3, func() error { return f.reopen(0) }},
	}
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	r := f.rng.IntN(sum)
	for _, k := range kinds {
		if r -= k.weight; r < 0 {
			return k.do()
		}
	}
	panic("weights do not add up")
}

// span is a random part of the file, which may lie beyond its end.
func (f *fsx) span() (off, n int64) {
	off = f.rng.Int64N(f.max)
	if len(f.want) > 0 && f.rng.IntN(3) > 0 {
		off = f.rng.Int64N(int64(len(f.want)))
	}
	n = 1 + f.rng.Int64N([]int64{10, 5000, 70000, 300000}[f.rng.IntN(4)])
	return off, min(n, f.max-off)
}

func (f *fsx) random(n int64) []byte {
	p := make([]byte, n)
	for i := 0; i < len(p); i += 8 {
		v := f.rng.Uint64()
		for j := i; j < min(i+8, len(p)); j++ {
			p[j] = byte(v)
			v >>= 8
		}
	}
	return p
}

// put changes the buffer as a write does.
func (f *fsx) put(p []byte, off int64) {
	f.grow(off + int64(len(p)))
	copy(f.want[off:], p)
}

func (f *fsx) grow(size int64) {
	if n := size - int64(len(f.want)); n > 0 {
		f.want = append(f.want, make([]byte, n)...)
	}
}

func (f *fsx) reopen(flags int) error {
	f.log("reopen")
	if err := f.close(); err != nil {
		return err
	}
	var err error
	if f.fd, err = unix.Open(f.path, unix.O_RDWR|unix.O_CLOEXEC|flags, 0o644); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if f.append, err = unix.Open(f.path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open to append: %w", err)
	}
	return nil
}

func (f *fsx) close() error {
	for _, fd := range []*int{&f.fd, &f.append} {
		if *fd < 0 {
			continue
		}
		err := unix.Close(*fd)
		*fd = -1
		if err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

func (f *fsx) read() error {
	off, n := f.span()
	f.log("read %d at %d", n, off)
	return f.compare(off, n)
}

// compare reads and checks n bytes at off.
func (f *fsx) compare(off, n int64) error {
	got := make([]byte, n)
	read, err := readFull(f.fd, got, off)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return f.check(got[:read], off, n)
}

// readFull reads until p is full or the file ends.
func readFull(fd int, p []byte, off int64) (int, error) {
	sum := 0
	for sum < len(p) {
		n, err := unix.Pread(fd, p[sum:], off+int64(sum))
		if err != nil || n == 0 {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// check compares got, which is what n bytes at off are said to be.
func (f *fsx) check(got []byte, off, n int64) error {
	size := int64(len(f.want))
	want := f.want[min(off, size):min(off+n, size)]
	if bytes.Equal(got, want) {
		return nil
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d bytes at %d: got %d, want %d (size %d)", n, off, len(got), len(want), size)
	}
	first, last := -1, 0
	for i := range got {
		if got[i] != want[i] {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return fmt.Errorf("bytes %d to %d differ (size %d): got %#x..., want %#x...",
		off+int64(first), off+int64(last), size, got[first:min(first+8, len(got))], want[first:min(first+8, len(want))])
}

func (f *fsx) write() error {
	off, n := f.span()
	f.log("write %d at %d", n, off)
	p := f.random(n)
	if got, err := unix.Pwrite(f.fd, p, off); err != nil || int64(got) != n {
		return fmt.Errorf("write: %d, %w", got, err)
	}
	f.put(p, off)
	return nil
}

func (f *fsx) appendWrite() error {
	off := int64(len(f.want))
	n := min(1+f.rng.Int64N(20000), f.max-off)
	if n == 0 {
		return f.truncate()
	}
	f.log("append %d at %d", n, off)
	p := f.random(n)
	if got, err := unix.Write(f.append, p); err != nil || int64(got) != n {
		return fmt.Errorf("append: %d, %w", got, err)
	}
	f.put(p, off)
	return nil
}

func (f *fsx) truncate() error {
	size := f.rng.Int64N(f.max)
	f.log("truncate %d to %d", len(f.want), size)
	if err := unix.Ftruncate(f.fd, size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	if size < int64(len(f.want)) {
		f.want = f.want[:size:size]
	}
	f.grow(size)
	return nil
}

// mapped runs do on the pages of a shared mapping around off.
func (f *fsx) mapped(prot int, off, n int64, do func(p []byte) error) error {
	start := off &^ int64(os.Getpagesize()-1)
	p, err := unix.Mmap(f.fd, start, int(off-start+n), prot, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	if err := do(p[off-start:]); err != nil {
		unix.Munmap(p)
		return err
	}
	if prot&unix.PROT_WRITE != 0 && f.rng.IntN(2) == 0 {
		if err := unix.Msync(p, unix.MS_SYNC); err != nil {
			unix.Munmap(p)
			return fmt.Errorf("msync: %w", err)
		}
	}
	return unix.Munmap(p)
}

// spanInside is a part within the file: beyond its end is SIGBUS.
func (f *fsx) spanInside() (off, n int64) {
	off = f.rng.Int64N(int64(len(f.want)))
	return off, 1 + f.rng.Int64N(min(int64(len(f.want))-off, 100000))
}

func (f *fsx) mapRead() error {
	if len(f.want) == 0 {
		return f.write()
	}
	off, n := f.spanInside()
	f.log("mmap read %d at %d", n, off)
	return f.mapped(unix.PROT_READ, off, n, func(p []byte) error { return f.check(p, off, n) })
}

func (f *fsx) mapWrite() error {
	if len(f.want) == 0 {
		return f.write()
	}
	off, n := f.spanInside()
	f.log("mmap write %d at %d", n, off)
	return f.mapped(unix.PROT_READ|unix.PROT_WRITE, off, n, func(p []byte) error {
		data := f.random(n)
		copy(p, data)
		f.put(data, off)
		return nil
	})
}

// copyRange copies a part of the file to another, not overlapping place in it.
func (f *fsx) copyRange() error {
	if len(f.want) < 2 {
		return f.write()
	}
	half := int64(len(f.want)) / 2
	from := f.rng.Int64N(half)
	n := 1 + f.rng.Int64N(half-from)
	to := half + f.rng.Int64N(f.max-half-n)
	f.log("copy %d from %d to %d", n, from, to)
	in, out := from, to
	for left := n; left > 0; {
		got, err := unix.CopyFileRange(f.fd, &in, f.fd, &out, int(left), 0)
		if err != nil || got == 0 {
			return fmt.Errorf("copy_file_range: %d, %w", got, err)
		}
		left -= int64(got)
	}
	f.put(bytes.Clone(f.want[from:from+n]), to)
	return nil
}

func (f *fsx) fsync() error {
	f.log("fsync")
	return unix.Fsync(f.fd)
}

// drop makes the kernel forget its pages, so that the file system is asked.
func (f *fsx) drop() error {
	f.log("drop")
	if err := unix.Fsync(f.fd); err != nil {
		return err
	}
	return unix.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED)
}

func (f *fsx) stat() error {
	f.log("stat")
	var st unix.Stat_t
	if err := unix.Stat(f.path, &st); err != nil {
		return err
	}
	if st.Size != int64(len(f.want)) {
		return fmt.Errorf("size %d, want %d", st.Size, len(f.want))
	}
	return nil
}

func (f *fsx) allocate() error {
	off, n := f.span()
	f.log("allocate %d at %d", n, off)
	if err := unix.Fallocate(f.fd, 0, off, n); err != nil {
		return fmt.Errorf("fallocate: %w", err)
	}
	f.grow(off + n)
	return nil
}

// readWhole reads through a descriptor of its own.
func (f *fsx) readWhole() error {
	f.log("read whole")
	got, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	return f.check(got, 0, max(int64(len(got)), int64(len(f.want))))
}

func TestFsxItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want, err := runFsx(path, seed(t), 2000)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file is not what it must be: %v", err)
	}
	f := &fsx{want: []byte("abc")}
	for _, wrong := range []string{"abd", "ab", "abcd"} {
		if f.check([]byte(wrong), 0, 10) == nil {
			t.Errorf("%q passed for %q", wrong, f.want)
		}
	}
}
