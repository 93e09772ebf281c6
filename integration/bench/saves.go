package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const stats = 10

// statsDuringRead asks for files of which nothing is known, each in a directory
// of its own, while the large file is read.
func (b *bench) statsDuringRead(ctx context.Context, mnt string) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- readAgainAndAgain(reading, mnt+"/large", begun) }()
	select {
	case <-begun:
	case err := <-ended:
		return err
	}
	for i := range stats {
		if err := ctx.Err(); err != nil {
			break
		}
		if _, err := os.Stat(filepath.Join(mnt, statName(i))); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	stop()
	return errors.Join(<-ended, ctx.Err())
}

// readAgainAndAgain reads until ctx ends, and closes begun when reading is
// under way. From the second time on the kernel has forgotten what it had.
func readAgainAndAgain(ctx context.Context, path string, begun chan struct{}) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, piece)
	for read := 0; ctx.Err() == nil; read++ {
		_, err := f.Read(buf)
		if read == 3 {
			close(begun)
		}
		if errors.Is(err, io.EOF) {
			err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			_, seek := f.Seek(0, io.SeekStart)
			err = errors.Join(err, seek)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const documents = 30

func document(i int, version string) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "document %d, %s\n", i, version), 200)
}

func documentName(i int) string { return fmt.Sprintf("documents/doc%d.txt", i) }

func (b *bench) makeDocuments(context.Context) error {
	if err := os.MkdirAll(b.served+"/documents", 0o755); err != nil {
		return err
	}
	for i := range documents {
		if err := os.WriteFile(filepath.Join(b.served, documentName(i)), document(i, "old"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// safeSaves saves documents as careful editors do.
func (b *bench) safeSaves(ctx context.Context, mnt string) error {
	for i := range documents {
		if err := safeSave(filepath.Join(mnt, documentName(i)), document(i, "new")); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func safeSave(path string, data []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (b *bench) checkDocuments(context.Context) error {
	for i := range documents {
		got, err := os.ReadFile(filepath.Join(b.served, documentName(i)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, document(i, "new")) {
			return fmt.Errorf("%s: %w", documentName(i), errContent)
		}
	}
	return nil
}
