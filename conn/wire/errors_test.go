package wire

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestErrorTexts(t *testing.T) {
	for _, e := range []struct {
		err  error
		want string
	}{
		{&ClosedError{}, "sftp session closed"},
		{&ClosedError{Cause: io.ErrUnexpectedEOF}, "sftp session closed: unexpected EOF"},
		{&StatusError{"OPEN", 4, "Failure"}, "sftp OPEN: Failure (status 4)"},
		{&StatusError{"OPEN", 4, ""}, "sftp OPEN: status 4"},
		{&ProtocolError{"OPEN", "truncated"}, "sftp protocol violation by the server: OPEN: truncated"},
		{&ProtocolError{"", "packet of 0 bytes"}, "sftp protocol violation by the server: packet of 0 bytes"},
		{&UnsupportedError{"copy-data"}, "sftp server does not offer copy-data"},
		{&RequestError{"STAT", syscall.ENAMETOOLONG}, "sftp STAT: file name too long"},
		{&VersionError{6}, "sftp server speaks protocol version 6, not 3"},
		{&ChatterError{"bye\n"}, `the server sent text instead of SFTP: "bye\n"`},
	} {
		if got := e.err.Error(); got != e.want {
			t.Errorf("%T: %q, want %q", e.err, got, e.want)
		}
	}
}

func TestTextOfServer(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"a\r\nb\tc\x00d":             "a b cd",
		"\x1b]0;title\x07":           "]0;title",
		"bad\xff\xfeutf8 \u202eevil": "badutf8 evil",
		strings.Repeat("é", 300):     strings.Repeat("é", 256),
		strings.Repeat("x", 10_000):  strings.Repeat("x", maxStatusText),
		" \n ":                       "",
		"smörgås":                    "smörgås",
	} {
		if got := oneLine([]byte(in)); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStatusErrorMatches(t *testing.T) {
	for code, want := range map[uint32]error{
		StatusNoSuchFile:       fs.ErrNotExist,
		StatusPermissionDenied: fs.ErrPermission,
		StatusOpUnsupported:    errors.ErrUnsupported,
	} {
		if err := error(&StatusError{Code: code}); !errors.Is(err, want) {
			t.Errorf("status %d does not match %v", code, want)
		}
	}
	if err := error(&StatusError{Code: StatusEOF}); errors.Is(err, io.EOF) {
		t.Error("a status EOF matches io.EOF")
	}
}
