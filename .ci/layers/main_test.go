package main

import "testing"

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name, imports string
		ok            bool
	}{
		{"cache", "context", true},
		{"cache", "seamount/conn", false},
		{"cache", "golang.org/x/crypto/ssh", false},
		{"cache", "github.com/hanwen/go-fuse/v2/fs", false},
		{"conn", "seamount/cache", true},
		{"conn", "seamount/conn/wire", true},
		{"conn", "seamount/conn/dial", false},
		{"conn", "seamount/fs", false},
		{"conn/wire", "seamount/cache", false},
		{"conn/dial", "seamount/conn", true},
		{"conn/dial", "seamount/conn/wire", false},
		{"conn/dial/deeper", "seamount/conn/wire", false},
		{"fs", "seamount/cache", true},
		{"fs", "seamount/conn", false},
		{"fs", "github.com/hanwen/go-fuse/v2/fs", true},
		{"fs", "golang.org/x/crypto/ssh", false},
		{"cmd/seamount", "seamount/fs", true},
		{"cmd/seamount", "seamount/conn/wire", false},
		{"cmd/seamount", "seamount/cmd/seamount/internal/daemon", true},
		{"cmd/seamount/internal/daemon", "seamount/conn", false},
		{"cmd/seamount/internal/daemon", "golang.org/x/sys/unix", true},
		{"integration/bench", "seamount/conn/wire", true},
		{"elsewhere", "context", false},
		{"conn", "github.com/pkg/sftp", false},
		{"conn/serve", "github.com/pkg/sftp", true},
		{"conn", "github.com/pkg/sftpx", true},
	} {
		err := check([]pkg{{ImportPath: module + "/" + tt.name, Imports: []string{tt.imports}}})
		if (err == nil) != tt.ok {
			t.Errorf("%s importing %s: %v, want allowed: %v", tt.name, tt.imports, err, tt.ok)
		}
	}
}
