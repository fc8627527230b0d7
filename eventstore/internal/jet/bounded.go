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
var errUnanswered = fmt.Errorf("%w: the NATS server has not answered in time", ErrUnavailable)

// Bounded calls do with a context that ends after a limit, and returns its result, or
// [ErrUnavailable] if do does not return in time. It is [Within] for calls without a bound of
// their own: do gets a moment to return what it has when the limit is reached, the calls
// whose goroutines have not ended are bounded, and a panic of do is an error.
func Bounded[T any](ctx context.Context, limit time.Duration, do func(ctx context.Context) (T, error)) (T, error) {
	var none T
	select {
	case bounded <- struct{}{}:
	default:
		return none, fmt.Errorf("%w: %d questions wait for NATS", ErrUnavailable, maxBounded)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	patient, end := context.WithTimeout(ctx, limit+boundedGrace)
	defer end()
	result, err := Within(patient, func() (result T, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("ask NATS: panic: %v", cause)
			}
			<-bounded
		}()
		return do(limited)
	})
	switch {
	case ctx.Err() != nil:
		return none, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return result, errUnanswered
	}
	return result, err
}
