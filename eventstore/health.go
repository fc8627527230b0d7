package eventstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/outage"
)

// stuckAfter is how long appends fail, one after the other, before the log
// counts as unhealthy: longer than an election takes.
const stuckAfter = 15 * time.Second

// writing is how appends fare.
type writing struct {
	// mu guards the fields below.
	mu sync.Mutex
	// full says that the stream refuses records for want of room.
	full bool
	// failingSince is when the first of the attempts failed that have all failed
	// since; zero after a success. failedLast is when the last one did.
	failingSince, failedLast time.Time
	// waited is when an append last waited for room, or for the ids of the log.
	waited time.Time
	// noRoom and failing are the outages that are logged: for want of room, and for any
	// other cause.
	noRoom, failing outage.Outage
}

// Healthy returns nil when the connection stands, the stream has a leader that
// answers, and appends do not fail again and again. A full log is healthy: it can
// be read, and its gauge and log line say that it is full.
func (l *Log) Healthy(ctx context.Context) error {
	if err := l.connected(); err != nil {
		return err
	}
	if _, err := l.State(ctx); err != nil {
		return err
	}
	if stuck := l.writing.stuck(time.Now()); stuck > 0 {
		return fmt.Errorf("%w: no append has succeeded for %s", ErrUnavailable, stuck.Round(time.Second))
	}
	return nil
}

// stuck returns for how long appends have been failing, 0 when they are not.
func (w *writing) stuck(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Without an attempt since, there is no telling.
	if w.full || w.failingSince.IsZero() || now.Sub(w.failedLast) > stuckAfter {
		return 0
	}
	if failing := now.Sub(w.failingSince); failing > stuckAfter {
		return failing
	}
	return 0
}

// Waits reports whether appends wait for room or for the ids of the log, or have done so
// within stuckAfter: an append that waits tries again only after a pause. Both have checks
// of their own.
func (l *Log) Waits() bool {
	if l.known != nil && !l.known.Loaded() {
		return true
	}
	w := &l.writing
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.waited.IsZero() && time.Since(w.waited) <= stuckAfter
}

// noteAppend records the outcome of an attempt. It logs once when an outage begins, and the
// ends of those that are over; settleAppends logs these while nothing is appended.
func (l *Log) noteAppend(failed jet.Cause) {
	w, now := &l.writing, time.Now()
	w.mu.Lock()
	wasFull, noRoom, failing := w.full, false, false
	switch {
	case failed == "":
		w.failingSince, w.full = time.Time{}, false
		w.noRoom.Succeed()
		w.failing.Succeed()
	default:
		if w.failingSince.IsZero() || now.Sub(w.failedLast) > stuckAfter {
			w.failingSince = now
		}
		w.failedLast = now
		// A timeout in between does not say that there is room.
		w.full = w.full || failed == jet.CauseFull
		switch {
		case failed == jet.CauseFull:
			noRoom = w.noRoom.Fail(now)
		case failed != jet.CauseInFlight && !w.noRoom.Lasts(): // In flight is another gateway's append of the same event.
			failing = w.failing.Fail(now)
		}
	}
	if wasFull || w.full {
		w.waited = now
	}
	full, over := w.full, w.over(now)
	w.mu.Unlock()
	if failing {
		l.logger.Warn("an append failed and is retried until the log takes it", "stream", layout.EventStream, "cause", failed)
	}
	if noRoom {
		l.metrics.fullEpisodes.Inc()
		l.logger.Error("log is full: appends wait until there is room", "stream", layout.EventStream, "maxBytes", l.Settings().MaxBytes)
	}
	switch {
	case full && !wasFull:
		l.metrics.full.Set(1)
	case wasFull && !full:
		l.metrics.full.Set(0)
	}
	l.logEnds(over)
}

// ends are the outages of appends that are over, with how long they lasted.
type ends struct {
	noRoom, failing             bool
	noRoomLasted, failingLasted time.Duration
}

// over ends the outages after which it has been calm for a while; w.mu is held.
func (w *writing) over(now time.Time) (e ends) {
	e.noRoom, e.noRoomLasted, _ = w.noRoom.Over(now)
	e.failing, e.failingLasted, _ = w.failing.Over(now)
	return e
}

// settleAppends logs the end of an outage of appends while nothing is appended.
func (l *Log) settleAppends(now time.Time) {
	l.writing.mu.Lock()
	over := l.writing.over(now)
	l.writing.mu.Unlock()
	l.logEnds(over)
}

func (l *Log) logEnds(over ends) {
	if over.noRoom {
		l.logger.Info("log has room again", "stream", layout.EventStream, "after", over.noRoomLasted.Round(time.Millisecond))
	}
	if over.failing {
		l.logger.Info("appends succeed again", "stream", layout.EventStream, "after", over.failingLasted.Round(time.Millisecond))
	}
}
