package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A row is one workload. It runs on the mount at mnt, and check, if there is
// one, verifies afterwards what it did by the server's files.
type row struct {
	name  string
	do    func(mnt string) error
	check func() error
}

// rows are the workloads in their order: later ones use what earlier ones made.
func (b *bench) rows() []row {
	return []row{
		{"find", b.find, nil},
		{"git status", b.gitStatus, nil},
		{"200 random 4 KiB reads", b.randomReads, nil},
		{"sequential read", b.sequentialRead, nil},
		{"sequential write", b.sequentialWrite, b.checkWrite},
		{"cp -r out", b.copyOut, b.checkCopyOut},
		{"cp -r in", b.copyIn, func() error { return sameFiles(b.tree, b.served+"/in") }},
		{"tar x", b.untar, func() error { return sameFiles(b.tree, b.served+"/untar") }},
		{"rm -rf", b.remove, b.checkRemove},
	}
}

// measure mounts with p and runs every row once.
func (b *bench) measure(p program, r results) (err error) {
	m, err := b.mount(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.unmount()) }()
	for _, row := range b.rows() {
		began := time.Now()
		if err := row.do(m.dir); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		took := time.Since(began)
		if row.check != nil {
			if err := row.check(); err != nil {
				return fmt.Errorf("%s: %w", row.name, err)
			}
		}
		if r[row.name] == nil {
			r[row.name] = map[string][]time.Duration{}
		}
		r[row.name][p.name] = append(r[row.name][p.name], took)
	}
	return os.RemoveAll(b.local)
}

// command runs a program in dir and returns what it printed.
func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}

func (b *bench) find(mnt string) error {
	out, err := command(mnt+"/tree", "find", ".", "-type", "f", "-size", "+0")
	if n := bytes.Count([]byte(out), []byte("\n")); err == nil && n != b.cfg.files {
		err = fmt.Errorf("%d files, want %d", n, b.cfg.files)
	}
	return err
}

func (b *bench) gitStatus(mnt string) error {
	out, err := command(mnt+"/repo", "git", "-c", "safe.directory=*", "status", "--porcelain")
	if err == nil && out != "" {
		err = fmt.Errorf("changes that are none:\n%s", out)
	}
	return err
}

func (b *bench) randomReads(mnt string) error {
	f, err := os.Open(mnt + "/random")
	if err != nil {
		return err
	}
	defer f.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	got, want := make([]byte, 4096), make([]byte, 4096)
	for range 200 {
		off := rng.Int64N(b.cfg.size/4096) * 4096
		if _, err := f.ReadAt(got, off); err != nil {
			return err
		}
		if fill(want, off); !bytes.Equal(got, want) {
			return fmt.Errorf("wrong data at %d", off)
		}
	}
	return nil
}

// fill makes the content of the large files: every 8 bytes tell their place.
func fill(p []byte, off int64) {
	for i := 0; i < len(p); i += 8 {
		v := uint64(off+int64(i)) * 0x9e3779b97f4a7c15
		for j := range 8 {
			p[i+j] = byte(v >> (8 * j))
		}
	}
}

const piece = 1 << 20

func (b *bench) sequentialRead(mnt string) error {
	f, err := os.Open(mnt + "/large")
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, piece)
	var sum int64
	for {
		n, err := f.Read(buf)
		sum += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if sum != b.cfg.size {
		return fmt.Errorf("%d bytes, want %d", sum, b.cfg.size)
	}
	return nil
}

func (b *bench) sequentialWrite(mnt string) error { return writeLarge(mnt+"/written", b.cfg.size) }

// writeLarge writes a large file, which is on its disk or server when it returns.
func writeLarge(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, piece)
	fill(buf, 0)
	for off := int64(0); off < size; off += piece {
		fill(buf[:4096], off)
		if _, err := f.Write(buf); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

func (b *bench) checkWrite() error {
	want, err := digest(b.served + "/large")
	if err != nil {
		return err
	}
	got, err := digest(b.served + "/written")
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("the server has something else than what was written")
	}
	return errors.Join(err, os.Remove(b.served+"/written"))
}

func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

func (b *bench) copyOut(mnt string) error {
	_, err := command("/", "cp", "-r", mnt+"/tree", b.local)
	return err
}

func (b *bench) checkCopyOut() error { return sameFiles(b.tree, b.local) }

func (b *bench) copyIn(mnt string) error {
	_, err := command("/", "cp", "-r", b.tree, mnt+"/in")
	return err
}

func (b *bench) untar(mnt string) error {
	if err := os.Mkdir(mnt+"/untar", 0o755); err != nil {
		return err
	}
	_, err := command(mnt+"/untar", "tar", "xf", b.archive)
	return err
}

func (b *bench) remove(mnt string) error {
	_, err := command(mnt, "rm", "-rf", "in", "untar")
	return err
}

func (b *bench) checkRemove() error {
	for _, name := range []string{"in", "untar"} {
		if _, err := os.Lstat(filepath.Join(b.served, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is still there: %w", name, err)
		}
	}
	return nil
}

func sameFiles(want, got string) error {
	_, err := command("/", "diff", "-r", want, got)
	return err
}
