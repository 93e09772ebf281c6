package dial

import (
	"fmt"
)

// ServerExitError says that what should be an SFTP server ended at once.
type ServerExitError struct {
	Command string // what ran: a command, or "subsystem NAME"
	Status  int    // exit status, -1 if it did not tell
	Stderr  string // the beginning of what it said, as it came
	usual   bool   // it was looked for, not named
}

func (e *ServerExitError) Error() string {
	what := "the SFTP server (" + e.Command + ") ended at once"
	if e.Status >= 0 {
		what += fmt.Sprintf(" with status %d", e.Status)
	}
	if said := oneLine(e.Stderr); said != "" {
		what += ": " + said
	}
	return withHint(what, e.Hint())
}

// Hint says what to do.
func (e *ServerExitError) Hint() string {
	switch {
	case e.usual:
		return "install an SFTP server there, or name its path with -o sftp_server=PATH"
	case e.Status == 127 || e.Status == 126:
		return "check the path given with -o sftp_server"
	}
	return ""
}

// ChattyError says that the server's first bytes are text, not SFTP: mostly a
// shell that prints at login.
type ChattyError struct {
	Command string
	Text    string // the beginning of it, as it came
}

func (e *ChattyError) Error() string {
	return withHint(fmt.Sprintf("the server sent text in place of SFTP: %q", oneLine(e.Text)), e.Hint())
}

// Hint says what to do.
func (e *ChattyError) Hint() string {
	return "a start-up file of its shell, such as .bashrc, must print nothing when there is no terminal"
}

// SubsystemError says that the server refused to start an SFTP server.
type SubsystemError struct {
	Name string
	Err  error
}

func (e *SubsystemError) Error() string {
	return withHint("the server refuses "+e.Name, e.Hint())
}

func (e *SubsystemError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *SubsystemError) Hint() string {
	return "SFTP must be allowed there, or name a server with -o sftp_server=PATH"
}

// ProxyError says that a ProxyCommand failed.
type ProxyError struct {
	Command string
	Stderr  string
	Err     error
}

func (e *ProxyError) Error() string {
	what := "ProxyCommand " + e.Command + " failed"
	if said := oneLine(e.Stderr); said != "" {
		return oneLine(what + ": " + said)
	}
	return oneLine(what + ": " + e.Err.Error())
}

func (e *ProxyError) Unwrap() error { return e.Err }
