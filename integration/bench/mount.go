package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mountRow is the time to mount, and that of an ssh that does nothing.
const mountRow = "mount"

// A mounted is a mount and the processes behind it, which are a process group.
type mounted struct {
	dir    string
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{}
	err    error // of the process, once it has exited
}

// mount starts c in the foreground and waits until its mount answers.
func (b *bench) mount(ctx context.Context, c contender) (*mounted, error) {
	m := &mounted{dir: b.dir + "/mnt", exited: make(chan struct{})}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if m.log, err = os.Create(b.dir + "/mount.log"); err != nil {
		return nil, err
	}
	args := c.args(m.dir)
	m.cmd = exec.Command(args[0], args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		return nil, errors.Join(err, m.log.Close())
	}
	go func() { defer close(m.exited); m.err = m.cmd.Wait() }()
	if err := m.wait(ctx); err != nil {
		m.kill()
		said, _ := os.ReadFile(m.log.Name())
		return nil, errors.Join(fmt.Errorf("not mounted: %w\n%s", err, said), m.log.Close())
	}
	return m, nil
}

// wait returns when the mount is there and knows its server: sshfs mounts
// before it connects.
func (m *mounted) wait(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.exited:
			return errors.Join(errors.New("it ended"), m.err)
		case <-tick.C:
		}
		info, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		if strings.Contains(string(info), " "+m.dir+" ") {
			_, err := os.Stat(m.dir)
			return err
		}
	}
}

// unmount ends the mount, by force where it does not go.
func (m *mounted) unmount() error {
	defer m.log.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := m.detach(ctx)
	if err == nil {
		select {
		case <-m.exited:
			return m.err
		case <-ctx.Done():
			err = errors.New("the process did not end with its mount")
		}
	}
	m.kill()
	_, lazy := command(context.Background(), "/", "fusermount3", "-uz", m.dir)
	return errors.Join(err, lazy)
}

// detach takes the mount away. It may be in use for a moment: whoever looks
// at all mounts of the machine, as others do, uses it.
func (m *mounted) detach(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := command(ctx, "/", "fusermount3", "-u", m.dir)
		var failed *commandError
		if !errors.As(err, &failed) || !strings.Contains(failed.said, "busy") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// kill ends what is behind the mount, all of its processes.
func (m *mounted) kill() {
	_ = syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL) // gone already is as good
	<-m.exited
}

// keepLog keeps what the mount logged, if that is asked for.
func (b *bench) keepLog(m *mounted, c contender, row string, rtt time.Duration) error {
	if b.cfg.logs == "" || c.name != seamount {
		return nil
	}
	if err := os.MkdirAll(b.cfg.logs, 0o755); err != nil {
		return err
	}
	name := strings.ReplaceAll(fmt.Sprintf("%v %s.log", rtt, row), " ", "_")
	data, err := os.ReadFile(m.log.Name())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.cfg.logs, name), data, 0o644)
}

// cpu is the processor time that the processes behind the mount have used.
func (m *mounted) cpu() time.Duration {
	if m == nil {
		return 0
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var ticks int64
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err == nil {
			ticks += groupTicks(string(data), m.cmd.Process.Pid)
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// groupTicks reads /proc/PID/stat (proc(5)) and returns utime + stime, in 1/100
// seconds, if the process is in the group.
func groupTicks(stat string, group int) int64 {
	// What follows the name in parentheses: state, ppid, pgrp...
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 || f[2] != strconv.Itoa(group) {
		return 0
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return user + system
}
