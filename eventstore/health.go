package eventstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
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
	// reported says that the outage was logged, and has not ended.
	reported bool
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

// noteAppend records the outcome of an attempt. It logs once when appends begin to
// fail and once when they succeed again, and the same for a full log.
func (l *Log) noteAppend(failed jet.Cause) {
	w, now := &l.writing, time.Now()
	w.mu.Lock()
	wasFull, wasReported, since := w.full, w.reported, w.failingSince
	switch {
	case failed == "":
		w.failingSince, w.full, w.reported = time.Time{}, false, false
	default:
		w.reported = w.reported || failed != jet.CauseInFlight // which is another gateway's append of the same event
		if w.failingSince.IsZero() || now.Sub(w.failedLast) > stuckAfter {
			w.failingSince = now
		}
		w.failedLast = now
		// A timeout in between does not say that there is room.
		w.full = w.full || failed == jet.CauseFull
	}
	full, reported := w.full, w.reported
	w.mu.Unlock()
	switch {
	case reported && !wasReported && failed != jet.CauseFull:
		l.logger.Warn("an append failed and is retried until the log takes it", "stream", layout.EventStream, "cause", failed)
	case wasReported && !reported && !wasFull:
		l.logger.Info("appends succeed again", "stream", layout.EventStream, "after", now.Sub(since).Round(time.Millisecond))
	}
	switch {
	case full && !wasFull:
		l.metrics.full.Set(1)
		l.metrics.fullEpisodes.Inc()
		l.logger.Error("log is full: appends wait until there is room", "stream", layout.EventStream, "maxBytes", l.Settings().MaxBytes)
	case wasFull && !full:
		l.metrics.full.Set(0)
		l.logger.Info("log has room again", "stream", layout.EventStream)
	}
}
