package publisher

import (
	"context"
	"fmt"

	"github.com/letswriteabook/realtime/messaging"
)

// Pending is an accepted event. Its methods may be called concurrently.
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

// Wait returns the receipt, or the reason why there is none: [ErrUnconfirmed],
// [ErrGivenUp], or a *[messaging.Rejection] of a gateway. If ctx ends first, Wait
// returns the error of ctx, and the event stays in the outbox.
func (p *Pending) Wait(ctx context.Context) (messaging.Receipt, error) {
	select {
	case <-p.settled:
		return p.receipt, p.err
	case <-ctx.Done():
		return messaging.Receipt{}, fmt.Errorf("wait for the receipt of %q: %w", p.id, ctx.Err())
	}
}
