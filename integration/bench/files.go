package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
)

// piece is the size of one read or write of the large file.
const piece = 1 << 20

// noise is the content of the large file: piece k is what begins at byte 8k, so
// no two blocks of a file below 512 MiB are alike, and nothing need be
// computed to verify one. It does not compress.
type noise []byte

func newNoise() noise {
	n := make(noise, 2*piece)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(n) // it cannot fail
	return n
}

func (n noise) piece(k int64) []byte {
	at := 8 * k % piece
	return n[at : at+piece]
}

// write makes a large file; when it returns the file is closed.
func (n noise) write(ctx context.Context, path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(n.copy(ctx, f, size), f.Close())
}

func (n noise) copy(ctx context.Context, w io.Writer, size int64) error {
	for k := range size / piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.Write(n.piece(k)); err != nil {
			return err
		}
	}
	return nil
}

// errContent is a large file that has something else than it should.
var errContent = errors.New("wrong content")

// verify reads a large file to its end.
func (n noise) verify(ctx context.Context, r io.Reader, size int64) error {
	buf := make([]byte, piece)
	for k := range size / piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			return fmt.Errorf("in MiB %d: %w", k, err)
		}
		if !bytes.Equal(buf, n.piece(k)) {
			return fmt.Errorf("in MiB %d: %w", k, errContent)
		}
	}
	if extra, err := r.Read(buf); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%d bytes after the end, and %v", extra, err)
	}
	return nil
}

func (b *bench) verifyFile(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(b.noise.verify(ctx, f, b.cfg.size), f.Close())
}

// sameAsLarge verifies a copy of the large file on the server.
func (b *bench) sameAsLarge(name string) func(context.Context) error {
	return func(ctx context.Context) error { return b.verifyFile(ctx, b.served+"/"+name) }
}

func (b *bench) read(ctx context.Context, mnt string) error { return b.verifyFile(ctx, mnt+"/large") }

// sshPipe starts a command on the server that sends to this process, or takes from it.
func (b *bench) sshPipe(ctx context.Context, script string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", "-F", b.sshConfig, "benchserver", script)
}

func (b *bench) plainRead(ctx context.Context) error {
	cmd := b.sshPipe(ctx, "cat "+b.served+"/large")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	err = b.noise.verify(ctx, out, b.cfg.size)
	return errors.Join(err, cmd.Wait())
}

func (b *bench) write(ctx context.Context, mnt string) error {
	return b.noise.write(ctx, mnt+"/written", b.cfg.size)
}

func (b *bench) plainWrite(ctx context.Context) error {
	cmd := b.sshPipe(ctx, "cat > "+b.served+"/written")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	err = b.noise.copy(ctx, in, b.cfg.size)
	return errors.Join(err, in.Close(), cmd.Wait())
}

func (b *bench) copyInside(ctx context.Context, mnt string) error {
	_, err := command(ctx, mnt, "cp", "large", "copy")
	return err
}

func (b *bench) plainCopyInside(ctx context.Context) error {
	return b.ssh("cd " + b.served + " && cp large copy")(ctx)
}

func (b *bench) randomReads(ctx context.Context, mnt string) error {
	f, err := os.Open(mnt + "/large")
	if err != nil {
		return err
	}
	defer f.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	got := make([]byte, 4096)
	for range 200 {
		off := rng.Int64N(b.cfg.size/4096) * 4096
		if _, err := f.ReadAt(got, off); err != nil {
			return err
		}
		if want := b.noise.piece(off / piece)[off%piece:][:4096]; !bytes.Equal(got, want) {
			return fmt.Errorf("at %d: %w", off, errContent)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
