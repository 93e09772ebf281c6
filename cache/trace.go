package cache

import (
	"context"
	"time"
)

// TraceFunc is told of one request to the server: what it was (such as
// "LSTAT"), of which path, how long its answer took and what it was. It is
// called from several goroutines and must not block.
type TraceFunc func(op, path string, d time.Duration, err error)

type traceKey struct{}

// WithTrace returns a context that has every request to the server issued on
// its behalf told to f.
func WithTrace(ctx context.Context, f TraceFunc) context.Context {
	return context.WithValue(ctx, traceKey{}, f)
}

// TraceFrom returns the TraceFunc of ctx, or nil.
func TraceFrom(ctx context.Context) TraceFunc {
	f, _ := ctx.Value(traceKey{}).(TraceFunc)
	return f
}
