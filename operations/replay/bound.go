package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrBound is returned by [ParseBound] for text that is no bound. A retry does not
// help.
var ErrBound = errors.New("want a sequence, or a time such as 2026-03-01T10:00:00Z")

// Bound is a place in the log: a position, or the first record since a time. The
// zero value is the log's own end.
type Bound struct {
	// Position is that of a record; an empty epoch is the current one.
	Position messaging.Position
	// At is compared with the times at which the log took its records; zero when
	// the position counts.
	At time.Time
}

// ParseBound reads a sequence, an epoch:sequence or an RFC 3339 time.
func ParseBound(text string) (Bound, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		if at.IsZero() {
			return Bound{}, fmt.Errorf("%q: %w", text, ErrBound)
		}
		return Bound{At: at}, nil
	}
	position, err := messaging.ParsePosition(text)
	if err != nil || position.Sequence == 0 {
		return Bound{}, fmt.Errorf("%q: %w", text, ErrBound)
	}
	return Bound{Position: position}, nil
}

// open reports whether the bound is the log's own end.
func (b Bound) open() bool { return b.At.IsZero() && b.Position.Sequence == 0 }

// extent is what a replay goes through, both ends included; last is below first
// when that is nothing.
type extent struct {
	epoch       string
	first, last uint64
}

// settle asks the log where the bounds are.
func (s Selection) settle(ctx context.Context, log Log) (extent, error) {
	state, err := log.State(ctx)
	if err != nil {
		return extent{}, err
	}
	for _, bound := range []Bound{s.From, s.To} {
		if epoch := bound.Position.Epoch; epoch != "" && epoch != state.Epoch {
			return extent{}, fmt.Errorf("position %s: %w: it is %s since it was restored or re-created, and has another event at that sequence; choose by time, or by a sequence of the present epoch",
				bound.Position, ErrEpoch, state.Epoch)
		}
	}
	settled := extent{epoch: state.Epoch, first: state.First, last: state.Last}
	switch {
	case s.From.open():
	case s.From.At.IsZero():
		settled.first = max(settled.first, s.From.Position.Sequence)
	default:
		since, err := log.FirstSince(ctx, s.From.At)
		if err != nil {
			return extent{}, err
		}
		settled.first = max(settled.first, since)
	}
	switch {
	case s.To.open():
	case s.To.At.IsZero():
		settled.last = min(settled.last, s.To.Position.Sequence)
	default:
		since, err := log.FirstSince(ctx, s.To.At)
		if err != nil {
			return extent{}, err
		}
		settled.last = min(settled.last, since-1)
	}
	return settled, nil
}
