package dial

import (
	"context"
	"errors"
	"log/slog"

	"seamount/conn"
)

// Dialer makes connections to the server of one Config. It is safe for
// concurrent use.
type Dialer struct {
	cfg    *Config
	prompt Prompter
	log    *slog.Logger
}

var _ conn.Dialer = (*Dialer)(nil)

// NewDialer returns a Dialer that asks p what it must and tells log what cannot
// be honoured. A nil p asks nothing, a nil log drops everything.
func NewDialer(cfg *Config, p Prompter, log *slog.Logger) *Dialer {
	return &Dialer{cfg: cfg, prompt: p, log: log}
}

// Dial returns one authenticated connection.
func (d *Dialer) Dial(ctx context.Context) (conn.Connection, error) {
	return nil, errors.ErrUnsupported
}
