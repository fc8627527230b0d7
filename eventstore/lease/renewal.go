package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

const (
	// leaseTime is how long a lease lasts that is not renewed.
	leaseTime = 20 * time.Second
	// writeTimeout bounds one write of an item to its list.
	writeTimeout = 5 * time.Second
)

// renewal renews a lease.
type renewal struct {
	cancel context.CancelCauseFunc
	end    func()
	// ends is when the lease ends, if it is not renewed before; it belongs to renew.
	ends time.Time
}

// begin renews a lease that was taken just before with write, on a pace and in a goroutine of
// its own, until end is called. The context that it returns is for what the lease allows, and
// ends with [ErrLost] when the lease is lost. A panic of write ends it too, because nothing
// renews the lease after that.
func (r *renewal) begin(ctx context.Context, every time.Duration, write func(ctx context.Context) error) context.Context {
	r.ends = time.Now().Add(leaseTime)
	ctx, r.cancel = context.WithCancelCause(ctx)
	r.end = wait.Every(every, func() bool {
		defer func() {
			if cause := recover(); cause != nil {
				r.cancel(fmt.Errorf("%w: the renewal panicked: %v", ErrLost, cause))
			}
		}()
		r.renew(context.WithoutCancel(ctx), write)
		return true
	})
	return ctx
}

// renew renews the lease once.
func (r *renewal) renew(ctx context.Context, write func(ctx context.Context) error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := write(ctx)
	switch {
	case err == nil:
		r.ends = began.Add(leaseTime)
	case errors.Is(err, ErrLost), time.Now().After(r.ends):
		r.cancel(fmt.Errorf("%w: %w", ErrLost, err))
	}
}
