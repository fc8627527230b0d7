package sessions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/contain"
)

// sessionWriters is how many saves are in flight at once: enough to keep a
// server busy that takes milliseconds to answer.
const sessionWriters = 64

// The waits between two attempts of one writer.
const (
	firstPause       = 50 * time.Millisecond
	longestSavePause = time.Second
)

// Run stores what waits until ctx ends, then what still waits, for up to
// [Config].FlushTimeout. It returns an error, which wraps
// [eventstore.ErrUnavailable], when that was not enough. It is run once, and ended after
// those who save have: what is saved after ctx has ended may never be stored.
func (s *Store) Run(ctx context.Context) error {
	flushing, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var writers sync.WaitGroup
	for range sessionWriters {
		writers.Go(func() { // Ends with ctx once nothing waits, and with flushing.
			_ = s.guard.Persist(flushing, "session writer", func() error { s.write(ctx, flushing); return nil })
		})
	}
	<-ctx.Done()
	overdue := time.AfterFunc(s.cfg.FlushTimeout, giveUp)
	defer overdue.Stop()
	writers.Wait()
	if left := s.waiting.count(); left > 0 {
		s.metrics.dropped.WithLabelValues(string(dropStopped)).Add(float64(left))
		return fmt.Errorf("%w: the states of %d sessions could not be stored within %s", eventstore.ErrUnavailable, left, s.cfg.FlushTimeout)
	}
	return nil
}

// write stores one save after the other. When ctx has ended it goes on until
// nothing waits, or until flushing has ended too.
func (s *Store) write(ctx, flushing context.Context) {
	pause, failing := jet.NewPause(firstPause, longestSavePause), false
	for flushing.Err() == nil {
		next, more, ok := s.waiting.take()
		if !ok {
			if ctx.Err() != nil {
				return // A writer whose save fails from here on takes it again itself.
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
			continue
		}
		if more {
			s.signal()
		}
		err := s.guard.Do("session writer", func() error { return s.store(flushing, next) })
		switch {
		case err == nil:
			s.metrics.saved.Inc()
			if s.waiting.stored(next.id) {
				s.shedding.Store(false)
			}
			if failing {
				pause, failing = jet.NewPause(firstPause, longestSavePause), false
			}
			continue
		case !next.removed && errors.Is(err, contain.ErrPanic): // which the next attempt would meet, too
			s.metrics.dropped.WithLabelValues(string(dropPanic)).Inc()
			s.waiting.refused(next.id)
			continue
		case !next.removed && (errors.Is(err, nats.ErrMaxPayload) || jet.HasCode(err, jet.CodeExceedsMaximum)):
			s.metrics.dropped.WithLabelValues(string(dropTooLarge)).Inc()
			s.waiting.refused(next.id)
			continue
		}
		failing = true
		s.waiting.failed(next.id)
		cause := jet.CauseOf(err)
		s.metrics.retries.WithLabelValues(string(cause)).Inc()
		s.logger.Debug("save of a session is retried", "cause", cause, "error", err)
		until := ctx
		if ctx.Err() != nil {
			until = flushing
		}
		_ = pause.Wait(until) // The end of ctx cuts it short, so that flushing begins at once.
	}
}

// store makes one attempt.
func (s *Store) store(ctx context.Context, next save) error {
	ctx, cancel := context.WithTimeout(ctx, s.log.Client().AckTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: s.log.Client().Key(layout.SessionPrefix + next.id), Data: next.state}
	if next.removed {
		msg.Header = nats.Header{headerOperation: []string{operationDelete}}
	}
	ack, err := s.log.Client().JS.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err == nil && ack.Stream != layout.SessionStream {
		err = fmt.Errorf("acknowledged by stream %q in place of %s", ack.Stream, layout.SessionStream)
	}
	switch {
	case err != nil:
	case next.removed:
		s.stored.drop(next.id)
	default:
		s.stored.note(next.id, ack.Sequence, time.Now(), s.keptFor())
	}
	return err
}
