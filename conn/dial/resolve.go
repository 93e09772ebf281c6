package dial

import (
	"context"
	"errors"
)

// Resolve finds the settings for t.
func Resolve(ctx context.Context, t Target) (*Config, error) {
	return nil, errors.ErrUnsupported
}
