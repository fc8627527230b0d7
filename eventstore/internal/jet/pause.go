package jet

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/letswriteabook/realtime/internal/wait"
)

// pause is the wait between two attempts: it doubles up to a bound, with
// jitter, so that gateways that failed together do not come back together.
type Pause struct{ policy *backoff.ExponentialBackOff }

func NewPause(first, longest time.Duration) Pause {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = first
	policy.MaxInterval = longest
	policy.Multiplier = 2
	policy.Reset()
	return Pause{policy: policy}
}

// wait sleeps for the next interval. It returns ctx's error when that ends first.
func (p Pause) Wait(ctx context.Context) error {
	return wait.For(ctx, p.policy.NextBackOff())
}

// Reset makes the next wait the first again.
func (p Pause) Reset() { p.policy.Reset() }
