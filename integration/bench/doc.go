// Command bench measures seamount, Debian's sshfs and plain ssh side by side.
//
// # Concept
//
// All three do the same work on the same directory of a real sshd on loopback;
// a proxy (conn/serve.Proxy) delays what passes between them and the server, for
// each distance that is asked for, and may limit its rate. seamount and sshfs
// mount with their default options; plain ssh does by pipes (ssh with tar, cat,
// find...) what comes nearest, as the limit: one command, told in advance all
// that there is to do. It connects anew each time, as it does in use.
//
// A row is one workload. Rows come in groups: the first begins with a fresh
// mount, so neither the mount nor the kernel knows anything of it, and the
// others ("again") go on from there. The three take turns within each group, in
// an order that rotates from round to round, so what else the machine
// does hits all of them alike. The server's files are in its page cache, and so
// is what the client reads locally: it is the way between that is measured.
//
// # Contract
//
// Every row is verified, most of them with the server's own files. A row that
// fails, or whose result is wrong, says so below the table and its time stands;
// for seamount it also makes the command fail. A row that takes longer
// than the limit is ended and shown as ">".
//
// Command bench needs sshd, sshfs, rsync, git, tar, fusermount3 and the go
// command; as root it drops the kernel's caches before each round.
//
// # Concurrency
//
// One row runs at a time. The goroutines beside it are those of the proxy, and
// one per mount, and one for sshd, that wait for their process. The proxy is in
// this process, so nothing that waits for a mount may hold up the whole of
// it: see command.
package main
