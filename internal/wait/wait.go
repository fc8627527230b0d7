package wait

import (
	"context"
	"time"
)

// For waits for length and returns nil, or the error of ctx if ctx ends first.
func For(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
