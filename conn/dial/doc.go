// Package dial makes SSH connections as the user's own ssh would and starts SFTP
// servers on them. Dialer is a conn.Dialer.
//
// # From a name to a connection
//
// ParseTarget splits what the user typed and refuses what a shell or ssh could
// take for something else. Resolve finds the settings of the host: `ssh -G`
// prints them where there is an ssh program, which alone knows each rule of
// ssh_config(5); elsewhere evaluator reads the same files. Both end in settings,
// and newConfig makes a Config of them, so that there is one place which gives
// keywords a meaning and defaults. Lists of algorithms that ssh -G prints are
// its own defaults unless somebody set them: relative tells the two apart, as
// our preference is another one (see algorithmKinds).
//
// NewDialer takes a Config, and Dial goes from hop to hop (Config.Via, the jump
// hosts, then the target): a byte stream, which is TCP, the pipes of a
// ProxyCommand or a channel of the host before; the handshake with the check of
// the host key; the authentication.
//
// # What can be relied on
//
//   - Nothing waits for ever. A guard bounds each step by ConnectTimeout and all
//     by the context, by closing what carries the connection, because neither
//     x/crypto/ssh nor its channels have deadlines. The clock stands while a user
//     or an agent is asked. What has no end of its own runs in await.
//   - Nothing is asked twice. A password that let us in, a passphrase that opened
//     a key and a host key that was accepted are kept in the Dialer, in memory, for
//     its later connections; answers to other questions, such as codes, are not.
//   - Host keys are checked against known_hosts at each connection. Within one
//     connection the first key stands. A changed key is refused; only under
//     StrictHostKeyChecking no it is not, and then no password is sent.
//   - All keys are one method, publickey, in the order: agent keys that match an
//     identity file, identity files, other agent keys; at most maxKeys of them. An
//     encrypted key asks for its passphrase only once the server wants it.
//   - Errors are one line, clean of control characters, say what to do, and are
//     matched by type: *TargetError, *ConfigError, *ConnectError, *TimeoutError,
//     *HandshakeError, *AlgorithmError, *HostKeyError, *AuthError, *ProxyError, and
//     for SFTP *SubsystemError, *ServerExitError, *ChattyError.
//
// # SFTP
//
// OpenSFTP sends the first packet itself and waits for the answer. So it knows
// that there is a server, can try the next way when sshd grants a subsystem
// whose program does not exist, and can show what a shell printed. It costs no
// round trip: the caller finds the answer there.
//
// # Concurrency
//
// A Dialer and its connections are safe for concurrent use. Questions to the
// user are asked one at a time (asker). Locks: Dialer.mu, hop.mu, guard.mu and
// connection.mu are leaves; none is held across I/O or while another is taken.
// A connection ends in one goroutine (serve): when the target's SSH connection
// has ended, whatever carries it is closed, from the outside in, since closing
// an inner channel first could wait for a peer that is gone. Close closes the
// outermost and waits for that goroutine.
package dial
