package publisher

import (
	"context"
	"fmt"

	"github.com/letswriteabook/realtime/messaging"
)

// Pending is an event that was taken in. Its methods may be called concurrently.
type Pending struct {
	id, jobID string
	settled   chan struct{} // closed once the two below are set
	receipt   messaging.Receipt
	err       error
}

// ID returns the event's idempotency key.
func (p *Pending) ID() string { return p.id }

// Done is closed when the event was confirmed or refused, or the publisher has
// stopped without either.
func (p *Pending) Done() <-chan struct{} { return p.settled }

// Wait returns the receipt, or why there will be none: [ErrUnconfirmed],
// [ErrGivenUp], or a *[messaging.Rejection] of a gateway. It also returns, with
// the context's error, when ctx ends; the event stays in the outbox then.
func (p *Pending) Wait(ctx context.Context) (messaging.Receipt, error) {
	select {
	case <-p.settled:
		return p.receipt, p.err
	case <-ctx.Done():
		return messaging.Receipt{}, fmt.Errorf("wait for the receipt of %q: %w", p.id, ctx.Err())
	}
}
