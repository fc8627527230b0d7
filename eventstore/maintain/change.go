package maintain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/eventstore/sessions"
)

// settingsSubject is where changes of the settings are noted, in the audit stream.
const settingsSubject = layout.AuditPrefix + "settings"

// Change is a change of the settings of the log, as it is noted.
type Change struct {
	At     time.Time           `json:"at"`
	By     string              `json:"by"`
	Before eventstore.Settings `json:"before"`
	After  eventstore.Settings `json:"after"`
}

// Loss is what a change of the settings deletes.
type Loss struct {
	// Through is the last sequence that goes, 0 when none does; Events counts them at
	// most, because there may be holes.
	Through uint64 `json:"through"`
	Events  uint64 `json:"events"`
	// Bytes is by how much the log is too large.
	Bytes uint64 `json:"bytes"`
}

// Any reports whether something is deleted.
func (l Loss) Any() bool { return l.Through > 0 || l.Bytes > 0 }

// AllSettings returns the settings of the log, and those of the sessions beside it.
func (l *Log) AllSettings(ctx context.Context) (eventstore.Settings, error) {
	if _, err := l.State(ctx); err != nil {
		return eventstore.Settings{}, err
	}
	settings := l.Settings()
	sessions, err := l.client.JS.Stream(ctx, layout.SessionStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return settings, nil
	}
	if err != nil {
		return settings, fmt.Errorf("look at stream %s: %w", layout.SessionStream, jet.Unavailable(err))
	}
	settings.SessionTTL, settings.SessionMaxBytes = sessions.CachedInfo().Config.MaxAge, max(sessions.CachedInfo().Config.MaxBytes, 0)
	return settings, nil
}

// Consider says what the server would delete of the log with other settings.
func (l *Log) Consider(ctx context.Context, wanted eventstore.Settings) (Loss, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(ctx, layout.EventStream)
	if err != nil {
		return Loss{}, fmt.Errorf("look at stream %s: %w", layout.EventStream, jet.Unavailable(err))
	}
	info := stream.CachedInfo()
	var loss Loss
	if wanted.MaxBytes > 0 && info.State.Bytes > uint64(wanted.MaxBytes) {
		loss.Bytes = info.State.Bytes - uint64(wanted.MaxBytes)
	}
	if wanted.MaxAge <= 0 || info.State.Msgs == 0 {
		return loss, nil
	}
	// The first record that is young enough, by halves: sequences ascend with time.
	cut := time.Now().Add(-wanted.MaxAge)
	low, high := info.State.FirstSeq, info.State.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		found, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: middle, Next: ">"})
		switch {
		case errors.Is(err, jet.ErrNotFound):
			high = middle
		case err != nil:
			return Loss{}, fmt.Errorf("look at the record after %d: %w", middle, err)
		case found.At.Before(cut):
			low = found.Sequence + 1
		default:
			high = middle
		}
	}
	if low > info.State.FirstSeq {
		loss.Through, loss.Events = low-1, min(low-info.State.FirstSeq, info.State.Msgs)
	}
	return loss, nil
}

// Change gives the log other settings, and notes who did: in the stream NOVEL_AUDIT,
// before the settings are changed. The streams beside the log get its replicas.
func (l *Log) Change(ctx context.Context, by string, wanted eventstore.Settings) error {
	cfg := l.Config()
	cfg.Replicas, cfg.MaxBytes, cfg.MaxAge, cfg.DuplicateWindow = wanted.Replicas, wanted.MaxBytes, wanted.MaxAge, wanted.DuplicateWindow
	if err := cfg.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.client.OpenTimeout)
	defer cancel()
	before, err := l.AllSettings(ctx)
	if err != nil {
		return err
	}
	if err := checkSessions(wanted, before); err != nil {
		return err
	}
	note := Change{At: time.Now().UTC(), By: by, Before: before, After: wanted}
	if _, err := audit.Beside(l.client).Add(ctx, settingsSubject, note); err != nil {
		return fmt.Errorf("note the change: %w", err)
	}
	if err := l.edit(ctx, layout.EventStream, func(c *jetstream.StreamConfig) {
		c.Replicas, c.MaxBytes, c.MaxAge, c.Duplicates = wanted.Replicas, wanted.MaxBytes, wanted.MaxAge, wanted.DuplicateWindow
	}); err != nil {
		return err
	}
	for _, name := range []string{layout.DeadLetterStream, layout.IdentityStream, layout.AuditStream, layout.SessionStream} {
		err := l.edit(ctx, name, func(c *jetstream.StreamConfig) {
			if c.PersistMode != jetstream.AsyncPersistMode { // Such a one cannot be replicated; the next start replaces it.
				c.Replicas = wanted.Replicas
			}
		})
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
	}
	if wanted.SessionTTL > 0 {
		if err := l.edit(ctx, layout.SessionStream, func(c *jetstream.StreamConfig) {
			c.MaxAge, c.MaxBytes, c.Duplicates = wanted.SessionTTL, wanted.SessionMaxBytes, sessions.DuplicateWindow(wanted.SessionTTL)
		}); err != nil {
			return err
		}
	}
	_, err = l.State(ctx)
	return err
}

// checkSessions names what cannot be served of the settings of sessions.
func checkSessions(s, before eventstore.Settings) error {
	sessions := sessions.DefaultConfig()
	switch sessions.TTL, sessions.MaxBytes = s.SessionTTL, s.SessionMaxBytes; {
	case s.SessionTTL == 0 && s.SessionMaxBytes == 0:
		return nil // they stay
	case before.SessionTTL == 0 && before.SessionMaxBytes == 0:
		return errors.New("there are no sessions yet: the first gateway makes their bucket, with its SOCKET_RECOVERY_TTL")
	}
	return sessions.Validate()
}

// edit changes the configuration of a stream, if that is a change.
func (l *Log) edit(ctx context.Context, name string, change func(*jetstream.StreamConfig)) error {
	stream, err := l.client.JS.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", name, jet.Unavailable(err))
	}
	_, err = streams.Update(ctx, l.client.JS, stream.CachedInfo(), func(c *jetstream.StreamConfig, _ time.Time) { change(c) })
	return err
}

// Changes returns the recorded changes of the settings, oldest first, at most the newest
// thousand.
func Changes(ctx context.Context, trail *audit.Trail) ([]Change, error) {
	const most = 1000
	var changes []Change
	var bad error
	err := trail.Each(ctx, settingsSubject, most, func(number uint64, note []byte) {
		var change Change
		if err := json.Unmarshal(note, &change); err != nil {
			bad = errors.Join(bad, fmt.Errorf("note %d: %w", number, err))
			return
		}
		changes = append(changes, change)
	})
	return changes, errors.Join(err, bad)
}
