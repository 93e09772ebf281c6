package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// onEveryServer runs test as a sub-test on a mount of each kind of server.
func onEveryServer(t *testing.T, test func(t *testing.T, m *mounted)) {
	t.Helper()
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) { test(t, mount(t, mountOptions{server: kind})) })
	}
}

func TestCp(t *testing.T) {
	sample := sampleTree(t)
	onEveryServer(t, func(t *testing.T, m *mounted) {
		copyAll(t, m, sample, m.dir+"/copy")
		m.sameAsServed(t, sample, "copy")
		out := filepath.Join(t.TempDir(), "out")
		run(t, "/", "cp", "-a", m.dir+"/copy", out)
		sameTree(t, m.served+"/copy", out)
		copyAll(t, m, m.dir+"/copy", m.dir+"/second") // inside the mount
		m.sameAsServed(t, sample, "second")
		run(t, m.dir, "rm", "-r", "copy", "second")
		wantEmpty(t, m.served)
	})
}

// copyAll runs cp -a. Where the server cannot set a symbolic link's times and
// owner, cp must say so of the links and of nothing else.
func copyAll(t *testing.T, m *mounted, from, to string) {
	t.Helper()
	out, err := tryRun("/", "cp", "-a", from, to)
	if m.opts.server.setsLinks() {
		if err != nil || out != "" {
			t.Fatalf("cp -a: %v\n%s", err, out)
		}
		return
	}
	complaints := regexp.MustCompile(`(relative|dangling|up|dir)'?: Operation not supported$`)
	for line := range lines([]byte(out)) {
		if !complaints.MatchString(line) {
			t.Errorf("cp -a: %s", line)
		}
	}
}

// wantEmpty fails the test if dir has any entry.
func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) > 0 {
		t.Errorf("%s has %v", dir, entries)
	}
}

// TestRsync sends a tree with dangling links twice: the second time rsync must
// find nothing to do.
func TestRsync(t *testing.T) {
	sample := sampleTree(t)
	onEveryServer(t, func(t *testing.T, m *mounted) {
		rsync := []string{"-a", "--itemize-changes", sample + "/", m.dir + "/copy/"}
		if !m.opts.server.setsLinks() {
			rsync = append(rsync, "--omit-link-times")
		}
		run(t, "/", "rsync", rsync...)
		m.sameAsServed(t, sample, "copy")
		if out := run(t, "/", "rsync", rsync...); out != "" {
			t.Errorf("the second run changed:\n%s", out)
		}
		m.remount(t)
		if out := run(t, "/", "rsync", rsync...); out != "" {
			t.Errorf("a run that finds nothing cached changed:\n%s", out)
		}
	})
}

// TestTar unpacks as root, with owners and special permissions.
func TestTar(t *testing.T) {
	needRoot(t)
	sample := sampleTree(t)
	must(t, os.Chown(sample+"/src/file1-2", 1234, 4321))
	must(t, os.Chown(sample+"/empty", 1234, 4321))
	must(t, os.Lchown(sample+"/dangling", 1234, 4321))
	must(t, os.Chmod(sample+"/src/file1-3", 0o755|os.ModeSetuid|os.ModeSetgid))
	must(t, os.Chmod(sample+"/empty", 0o777|os.ModeSticky))
	archive := filepath.Join(t.TempDir(), "sample.tar")
	run(t, sample, "tar", "cf", archive, ".")
	onEveryServer(t, func(t *testing.T, m *mounted) {
		run(t, m.dir, "tar", "xpf", archive)
		m.sameAsServed(t, sample, ".")
		if m.opts.server.setsLinks() {
			run(t, m.dir, "tar", "df", archive) // compares
		}
	})
}

// TestGit clones, commits, packs and checks, and looks at the repository from
// the server's side.
func TestGit(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	run(t, "/", "git", "init", "-q", "-b", "main", origin)
	commitFiles(t, origin, "first", 60)
	onEveryServer(t, func(t *testing.T, m *mounted) {
		work := m.dir + "/work"
		run(t, m.dir, "git", "clone", "-q", "--no-local", origin, "work")
		commitFiles(t, work, "second", 30)
		run(t, work, "git", "checkout", "-q", "-b", "branch", "HEAD~1")
		commitFiles(t, work, "third", 5)
		run(t, work, "git", "merge", "-q", "--no-edit", "main")
		run(t, work, "git", "gc", "-q", "--prune=now")
		run(t, work, "git", "fsck", "--full", "--strict")
		if out := run(t, work, "git", "status", "--porcelain"); out != "" {
			t.Errorf("status through the mount:\n%s", out)
		}
		must(t, m.sync())
		served := m.served + "/work"
		run(t, served, "git", "fsck", "--full", "--strict")
		if out := run(t, served, "git", "status", "--porcelain"); out != "" {
			t.Errorf("status on the server:\n%s", out)
		}
		if out := run(t, served, "git", "log", "--oneline", "--all"); strings.Count(out, "\n") != 4 {
			t.Errorf("log on the server:\n%s", out)
		}
	})
}

func commitFiles(t testing.TB, repo, name string, n int) {
	t.Helper()
	dir := filepath.Join(repo, name)
	must(t, os.Mkdir(dir, 0o755))
	for i := range n {
		path := filepath.Join(dir, name+strings.Repeat("x", i))
		must(t, os.WriteFile(path, []byte(strings.Repeat(path+"\n", i*10)), 0o644))
	}
	run(t, repo, "git", "add", ".")
	run(t, repo, "git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", name)
}

// TestEditors saves in the ways that vim and Emacs have: in place, by renaming
// the old file to a backup, by writing a new file and renaming it.
func TestEditors(t *testing.T) {
	vim := func(set string) []string {
		return []string{"vim", "-es", "-u", "NONE", "-i", "NONE", "-c", "set backupskip= " + set, "-c", "normal Goadded", "-c", "wq", "file"}
	}
	emacs := func(set string) []string {
		return []string{"emacs", "--batch", "-Q", "--eval", `(progn (setq backup-enable-predicate #'always ` + set + `) (find-file "file") (goto-char (point-max)) (insert "added\n") (save-buffer))`}
	}
	for name, c := range map[string]struct {
		args   []string
		backup bool
	}{
		"vim in place":              {vim("nobackup nowritebackup"), false},
		"vim backup by copy":        {vim("backup backupcopy=yes"), true},
		"vim backup by rename":      {vim("backup backupcopy=no"), true},
		"vim with fsync":            {vim("fsync writebackup"), false},
		"emacs backup by rename":    {emacs("backup-by-copying nil"), true},
		"emacs backup by copy":      {emacs("backup-by-copying t"), true},
		"emacs write, then replace": {emacs("make-backup-files nil file-precious-flag t"), false},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, m *mounted) {
				must(t, os.WriteFile(m.dir+"/file", []byte("old\n"), 0o640))
				run(t, m.dir, c.args[0], c.args[1:]...)
				must(t, m.sync())
				wantFile(t, m.served+"/file", "old\nadded\n", 0o640)
				if c.backup {
					wantFile(t, m.served+"/file~", "old\n", 0o640)
				}
			})
		})
	}
}

// wantFile fails the test unless the file at path has the content and mode.
func wantFile(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != content {
		t.Errorf("%s: content %q, want %q", path, got, content)
	}
	fi, err := os.Stat(path)
	must(t, err)
	if fi.Mode() != mode {
		t.Errorf("%s: mode %v, want %v", path, fi.Mode(), mode)
	}
}

func TestSQLite(t *testing.T) {
	const statements = `CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT);
BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000)
INSERT INTO t SELECT i, hex(randomblob(100)) FROM n; COMMIT;
CREATE INDEX b ON t(body); DELETE FROM t WHERE id % 3 = 0; UPDATE t SET body = upper(body) WHERE id % 7 = 0;
BEGIN; DELETE FROM t; ROLLBACK; VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t;`
	for _, journal := range []string{"DELETE", "TRUNCATE", "PERSIST", "WAL"} {
		t.Run(journal, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, m *mounted) {
				out := run(t, m.dir, "sqlite3", "db", "PRAGMA journal_mode="+journal+";"+statements)
				if !strings.HasSuffix(out, "ok\n667\n") {
					t.Errorf("through the mount:\n%s", out)
				}
				must(t, m.sync())
				out = run(t, m.served, "sqlite3", "db", "PRAGMA integrity_check; SELECT count(*) FROM t;")
				if out != "ok\n667\n" {
					t.Errorf("on the server:\n%s", out)
				}
			})
		})
	}
}

// TestGoBuild builds this project from a copy of its source inside the mount.
func TestGoBuild(t *testing.T) {
	source := filepath.Dir(strings.TrimSpace(run(t, ".", "go", "env", "GOMOD")))
	onEveryServer(t, func(t *testing.T, m *mounted) {
		run(t, source, "cp", "-r", "go.mod", "go.sum", "cache", "cmd", "conn", "fs", m.dir)
		run(t, m.dir, "go", "build", "-buildvcs=false", "-o", "program", "./cmd/seamount")
		run(t, m.dir, "go", "vet", "./fs")
		must(t, m.sync())
		out, err := exec.Command(m.served+"/program", "version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "seamount") {
			t.Errorf("the program that was built: %v\n%s", err, out)
		}
	})
}
