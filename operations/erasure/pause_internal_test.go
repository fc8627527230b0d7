package erasure

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/projections"
)

// pausedLog is a log whose consumers can be paused, and have nothing in flight.
type pausedLog struct {
	Log
	until map[string]time.Time
}

func (l *pausedLog) ConsumerState(_ context.Context, name string) (eventstore.ConsumerState, error) {
	until, found := l.until[name]
	if !found {
		return eventstore.ConsumerState{}, eventstore.ErrNoConsumer
	}
	if left := time.Until(until); left > 0 {
		return eventstore.ConsumerState{Paused: true, PausedFor: left, PausedUntil: until}, nil
	}
	return eventstore.ConsumerState{}, nil
}

func (l *pausedLog) PauseConsumer(_ context.Context, name string, until time.Time) error {
	l.until[name] = until
	return nil
}

func (l *pausedLog) ResumeConsumer(_ context.Context, name string) error {
	l.until[name] = time.Time{}
	return nil
}

// TestThePauseOfASwapStays: whenever a swap makes its lasting pause, an erasure neither
// shortens nor ends it. What the erasure has paused itself it renews and ends.
func TestThePauseOfASwapStays(t *testing.T) {
	t.Parallel()
	const swap, own = projections.History, projections.JobHeads
	for _, test := range []struct {
		name string
		when string
	}{{"before the erasure", "before"}, {"while it overwrites", "begun"}, {"when it is about to end", "renewed"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := &pausedLog{until: map[string]time.Time{swap: {}, own: {}}}
				lasting := time.Now().AddDate(10, 0, 0)
				at := func(when string) {
					if when == test.when {
						log.until[swap] = lasting
					}
				}
				p := pause{log: log}
				at("before")
				if err := p.begin(t.Context()); err != nil {
					t.Fatal(err)
				}
				at("begun")
				for range 4 {
					time.Sleep(pauseLength / 2) // on the bubble's clock, which takes no time
					if err := errors.Join(p.renew(t.Context()), p.held(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
				at("renewed")
				if left := time.Until(log.until[own]); left != pauseLength {
					t.Errorf("the erasure's own pause has %s left", left)
				}
				if err := p.end(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !log.until[swap].Equal(lasting) || !log.until[own].IsZero() {
					t.Errorf("it leaves pauses until %v", log.until)
				}
			})
		})
	}
}

// TestAPauseThatEnded: somebody has let a consumer go on. The erasure says so, does not
// pause it again, and leaves the pause that another erasure has made since.
func TestAPauseThatEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &pausedLog{until: map[string]time.Time{projections.History: {}}}
		p := pause{log: log}
		if err := p.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		log.until[projections.History] = time.Time{}
		time.Sleep(pauseLength / 2) // on the bubble's clock, which takes no time
		if err := p.renew(t.Context()); !errors.Is(err, ErrBusy) || !log.until[projections.History].IsZero() {
			t.Errorf("renewed: %v, paused until %v", err, log.until)
		}
		others := time.Now().Add(pauseLength)
		log.until[projections.History] = others
		if err := p.end(t.Context()); err != nil || !log.until[projections.History].Equal(others) {
			t.Errorf("ended: %v, paused until %v", err, log.until)
		}
	})
}
