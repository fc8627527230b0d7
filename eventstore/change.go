package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// settingsSubject is where changes of the settings are noted, in the audit stream.
const settingsSubject = auditPrefix + "settings"

// Change is a change of the settings of the log, as it is noted.
type Change struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Before Settings  `json:"before"`
	After  Settings  `json:"after"`
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

// Consider says what the server would delete of the log with other settings.
func (l *Log) Consider(ctx context.Context, wanted Settings) (Loss, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, eventStream)
	if err != nil {
		return Loss{}, fmt.Errorf("look at stream %s: %w", eventStream, unavailable(err))
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
		found, err := l.leader(ctx, eventStream, directRequest{Sequence: middle, Next: ">"})
		switch {
		case errors.Is(err, errNotFound):
			high = middle
		case err != nil:
			return Loss{}, fmt.Errorf("look at the record after %d: %w", middle, err)
		case found.at.Before(cut):
			low = found.sequence + 1
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
func (l *Log) Change(ctx context.Context, by string, wanted Settings) error {
	cfg := l.cfg
	cfg.Replicas, cfg.MaxBytes, cfg.MaxAge, cfg.DuplicateWindow = wanted.Replicas, wanted.MaxBytes, wanted.MaxAge, wanted.DuplicateWindow
	if err := cfg.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.OpenTimeout)
	defer cancel()
	before, err := l.AllSettings(ctx)
	if err != nil {
		return err
	}
	if err := wanted.checkSessions(before); err != nil {
		return err
	}
	note := Change{At: time.Now().UTC(), By: by, Before: before, After: wanted}
	payload, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if err := l.Audit().ensure(ctx); err != nil {
		return fmt.Errorf("note the change: %w", err)
	}
	if _, err = l.js.PublishMsg(ctx, &nats.Msg{Subject: settingsSubject, Data: payload}); err != nil {
		return fmt.Errorf("note the change: %w", unavailable(err))
	}
	if err := l.edit(ctx, eventStream, func(c *jetstream.StreamConfig) {
		c.Replicas, c.MaxBytes, c.MaxAge, c.Duplicates = wanted.Replicas, wanted.MaxBytes, wanted.MaxAge, wanted.DuplicateWindow
	}); err != nil {
		return err
	}
	for _, name := range []string{deadLetterStream, identityStream, auditStream, sessionStream} {
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
		if err := l.edit(ctx, sessionStream, func(c *jetstream.StreamConfig) {
			c.MaxAge, c.MaxBytes, c.Duplicates = wanted.SessionTTL, wanted.SessionMaxBytes, sessionDuplicates(wanted.SessionTTL)
		}); err != nil {
			return err
		}
	}
	_, err = l.State(ctx)
	return err
}

// checkSessions names what cannot be served of the settings of sessions.
func (s Settings) checkSessions(before Settings) error {
	sessions := DefaultSessionsConfig()
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
	stream, err := l.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", name, unavailable(err))
	}
	_, err = updateStream(ctx, l.js, stream.CachedInfo(), func(c *jetstream.StreamConfig, _ time.Time) { change(c) })
	return err
}

// Changes returns the changes of the settings that are noted, oldest first, the
// newest thousand at most.
func (a *Audit) Changes(ctx context.Context) ([]Change, error) {
	const most = 1000
	var changes []Change
	var bad error
	request := directRequest{Sequence: 1, Next: settingsSubject, Batch: most, MaxBytes: batchBytes}
	err := a.log.batch(ctx, auditStream, request, func(found message) {
		var change Change
		if err := json.Unmarshal(found.body, &change); err != nil {
			bad = errors.Join(bad, fmt.Errorf("note %d: %w", found.sequence, err))
			return
		}
		changes = append(changes, change)
	})
	if errors.Is(err, ErrUnavailable) {
		if newest, asked := a.Newest(ctx); asked == nil && newest == 0 {
			return nil, nil // There is no such stream yet.
		}
	}
	return changes, errors.Join(err, bad)
}
