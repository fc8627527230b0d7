package jet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxBounded bounds the calls of [Bounded] whose goroutines have not ended.
	maxBounded = 32
	// boundedGrace is how long after the limit Bounded waits for a result.
	boundedGrace = 250 * time.Millisecond
)

// bounded has a place for each call of Bounded.
var bounded = make(chan struct{}, maxBounded)

// errUnanswered is returned by [Bounded] when the limit is reached without a result.
var errUnanswered = errors.New("the NATS server has not answered in time")

// Bounded calls do with a context that ends after a limit, and returns its result, or
// ErrUnavailable if do does not return in time. The client of NATS can block without regard
// to a context: while it writes to a server that hangs, or dials, it holds its lock.
func Bounded[T any](ctx context.Context, limit time.Duration, do func(ctx context.Context) (T, error)) (result T, err error) {
	select {
	case bounded <- struct{}{}:
	default:
		return result, Unavailable(fmt.Errorf("%d questions wait for NATS", maxBounded))
	}
	type returned struct {
		result T
		err    error
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan returned, 1)
	go func() { // ends with limited, or as soon after that as the client returns
		defer func() {
			if cause := recover(); cause != nil {
				done <- returned{err: fmt.Errorf("ask NATS: panic: %v", cause)}
			}
			<-bounded
		}()
		result, err := do(limited)
		done <- returned{result, err}
	}()
	blocked := time.NewTimer(limit + boundedGrace)
	defer blocked.Stop()
	var got returned
	select {
	case got = <-done:
	case <-blocked.C:
		got.err = Unavailable(errUnanswered)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	if errors.Is(got.err, context.DeadlineExceeded) {
		got.err = Unavailable(errUnanswered)
	}
	return got.result, got.err
}
