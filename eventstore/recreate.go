package eventstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

const (
	// restoreHold is how long a restore keeps the event stream from being re-created after
	// it last said that it goes on, should it be killed.
	restoreHold = time.Hour
)

// owned is a stream that this process needs, and how it is created; nil for one that is
// only looked at.
type owned struct {
	name   string
	ensure func(ctx context.Context) error
}

// own adds a stream that [Log.Guard] re-creates when it is missing.
func (l *Log) own(name string, ensure func(ctx context.Context) error) {
	l.ownedMu.Lock()
	defer l.ownedMu.Unlock()
	l.owned = append(l.owned, owned{name, ensure})
}

// recreate re-creates the streams that somebody has removed while the service runs, and
// looks at the settings of those beside the event stream.
func (l *Log) recreate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	l.ownedMu.Lock()
	needed := slices.Clone(l.owned)
	l.ownedMu.Unlock()
	for _, name := range BesideStreams() {
		if !slices.ContainsFunc(needed, func(o owned) bool { return o.name == name }) {
			needed = append(needed, owned{name: name}) // made by whoever needs it next
		}
	}
	for _, stream := range needed {
		found, err := l.client.JS.Stream(ctx, stream.name)
		_, beside := streams.Beside[stream.name] // State looks at the settings of the event stream.
		switch {
		case !beside:
		case err == nil:
			l.noteBeside(stream.name, editedBeside(stream.name, found.CachedInfo().Config))
		case errors.Is(err, jetstream.ErrStreamNotFound):
			l.noteBeside(stream.name, edited{})
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) { // It exists, or the server did not say.
			if stream.name == layout.EventStream {
				l.missingSince = time.Time{}
				l.restoring.Store(false)
			}
			continue
		}
		if stream.ensure == nil || stream.name == layout.EventStream && !l.mayRecreateEvents(ctx) {
			continue
		}
		l.recreated(stream.name, stream.ensure(ctx))
	}
}

// recreated logs that a missing stream was re-created, or why it could not be.
func (l *Log) recreated(name string, err error) {
	if err != nil {
		l.identityLog.Do(func() { l.logger.Error("a stream is missing and cannot be re-created", "stream", name, "error", err) })
		return
	}
	l.metrics.recreated.WithLabelValues(name).Inc()
	l.logger.Error("a stream was missing and has been re-created: what it held is gone", "stream", name)
}

// mayRecreateEvents reports whether the event stream has been missing for long enough,
// and no restore is about to bring it back.
func (l *Log) mayRecreateEvents(ctx context.Context) bool {
	now := time.Now()
	if l.missingSince.IsZero() {
		l.missingSince = now
	}
	held, err := l.heldBack(ctx, now)
	if err != nil {
		return false
	}
	l.restoring.Store(held)
	return !held && now.Sub(l.missingSince) >= l.cfg.RecreateWait
}

// heldBack reports whether a restore has the event stream kept from being re-created.
func (l *Log) heldBack(ctx context.Context, now time.Time) (bool, error) {
	held, err := l.client.Leader(ctx, layout.IdentityStream, jet.Request{Last: layout.HoldSubject})
	switch {
	case errors.Is(err, jet.ErrNotFound), jet.HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return len(held.Body) > 0 && now.Sub(held.At) <= restoreHold, nil
}
