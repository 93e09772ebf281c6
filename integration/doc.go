// Package integration proves the whole of seamount on real mounts: a kernel
// on one side, a real SFTP server on the other, and the server's own files as
// the witness. It holds tests only; the program in bench measures.
//
// # Gear
//
// mount(t, options) serves a fresh directory with one of three servers
// (OpenSSH's sftp-server over pipes, a real sshd on loopback, pkg/sftp's
// server) and mounts it in this process. mountBinary does the same with the
// program, built once per run, as a child process: for ordinary users, memory,
// exit codes. Both unmount when the test ends and then look for what was left:
// goroutines, descriptors, remote handles, mounts. A test that needs a tool
// that is missing fails; nothing is skipped.
//
// Every test that compares looks from three sides: a local directory or a
// buffer in memory as the model, the mount, and the files of the server.
//
// # Sizes
//
// The tests have two sizes: the one of every day and the one of "make soak",
// chosen by SEAMOUNT_SOAK=1. Random tests print their seed; SEAMOUNT_SEED and
// SEAMOUNT_OPS (or -seed and -ops) run the same sequence again.
//
// # Ordinary users
//
// Tests run as root, because only root can mount small file systems to fill
// and be several users. What an ordinary user sees is tested by running this
// test binary again as that user (rerunAs), with the user's own mount made by
// fusermount3. What another user does on a mount of root is done by a thread
// that has taken that user's identity (as).
package integration
