package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// rsyncArgs have rsync tell each change that it makes.
func rsyncArgs(args ...string) []string { return append([]string{"-a", "--out-format=%i %n"}, args...) }

func (b *bench) rsync(ctx context.Context, mnt string) error {
	_, err := command(ctx, "/", "rsync", rsyncArgs(b.tree+"/", mnt+"/synced/")...)
	return err
}

func (b *bench) rsyncAgain(ctx context.Context, mnt string) error {
	out, err := command(ctx, "/", "rsync", rsyncArgs(b.tree+"/", mnt+"/synced/")...)
	return errors.Join(err, nothingTold(out))
}

func (b *bench) plainRsync(ctx context.Context) error {
	_, err := b.rsyncOverSSH(ctx)
	return err
}

func (b *bench) plainRsyncAgain(ctx context.Context) error {
	out, err := b.rsyncOverSSH(ctx)
	return errors.Join(err, nothingTold(out))
}

func (b *bench) rsyncOverSSH(ctx context.Context) (string, error) {
	return command(ctx, "/", "rsync", rsyncArgs("-e", "ssh -F "+b.sshConfig, b.tree+"/", "benchserver:"+b.served+"/synced/")...)
}

func nothingTold(out string) error {
	if out != "" {
		return fmt.Errorf("changes that should be none:\n%s", out)
	}
	return nil
}

// git runs git as someone to whom every repository belongs.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	return command(ctx, dir, "git", append([]string{"-c", "safe.directory=*"}, args...)...)
}

// restoreIndex takes back what git status wrote into the index: each contender
// finds one that was written on the server.
func (b *bench) restoreIndex(ctx context.Context) error {
	_, err := command(ctx, "/", "cp", "-p", b.dir+"/index", b.served+"/repo/.git/index")
	return err
}

func (b *bench) gitStatus(ctx context.Context, mnt string) error {
	out, err := git(ctx, mnt+"/repo", "status", "--porcelain")
	return errors.Join(err, nothingTold(out))
}

func (b *bench) plainGitStatus(ctx context.Context) error {
	out, err := b.sshOutput(ctx, "cd "+b.served+"/repo && git -c 'safe.directory=*' status --porcelain")
	return errors.Join(err, nothingTold(out))
}

// gitClone clones a local repository into the mount, as a fetch from
// elsewhere would: the objects come in a pack.
func (b *bench) gitClone(ctx context.Context, mnt string) error {
	_, err := git(ctx, "/", "clone", "-q", "--no-local", b.origin, mnt+"/clone")
	return err
}

func (b *bench) checkClone(ctx context.Context) error {
	clone := b.served + "/clone"
	if _, err := git(ctx, clone, "fsck", "--strict"); err != nil {
		return err
	}
	out, err := git(ctx, clone, "status", "--porcelain")
	if err := errors.Join(err, nothingTold(out), os.Rename(clone+"/.git", b.dir+"/clone.git")); err != nil {
		return err
	}
	return errors.Join(sameFiles(ctx, b.tree, clone), os.RemoveAll(b.dir+"/clone.git"))
}
