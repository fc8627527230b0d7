package maintain

import (
	"cmp"
	"context"
	"crypto/rand"
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

// Change is a change of the settings of the log, as it is recorded.
type Change struct {
	ID      string              `json:"id,omitempty"`
	At      time.Time           `json:"at"`
	By      string              `json:"by"`
	Before  eventstore.Settings `json:"before"`
	After   eventstore.Settings `json:"after"`
	Outcome Outcome             `json:"outcome"`
	// Error is why it failed.
	Error string `json:"error,omitempty"`
}

// Outcome says how a change of the settings ended.
type Outcome string

// The outcomes. A change of unknown outcome is under way, or was interrupted.
const (
	OutcomeUnknown Outcome = "unknown"
	OutcomeDone    Outcome = "done"
	OutcomeFailed  Outcome = "failed"
)

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

// Consider returns what the server would delete of the log with other settings. It returns
// [ErrRefused] for those that a gateway or the servers do not take, as far as that shows
// without changing the log.
func (l *Log) Consider(ctx context.Context, wanted eventstore.Settings) (Loss, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.OpenTimeout)
	defer cancel()
	if _, err := l.check(ctx, wanted); err != nil {
		return Loss{}, err
	}
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

// Change gives the log other settings, and the streams beside it the same number of
// replicas. It records in the stream NOVEL_AUDIT who did so, first that the change begins
// and then how it ended, so that no change is missing there and none is there that the
// server refused. A repeat completes a change that was interrupted.
func (l *Log) Change(ctx context.Context, by string, wanted eventstore.Settings) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.OpenTimeout)
	defer cancel()
	before, err := l.check(ctx, wanted)
	if err != nil {
		return err
	}
	trail := audit.Beside(l.client)
	note := Change{ID: rand.Text(), At: time.Now().UTC(), By: by, Before: before, After: wanted, Outcome: OutcomeUnknown}
	if _, err := trail.Add(ctx, settingsSubject, note); err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	failed := l.apply(ctx, wanted)
	note.Outcome = OutcomeDone
	if failed != nil {
		note.Outcome, note.Error = OutcomeFailed, failed.Error()
	}
	if err := l.record(ctx, trail, note); err != nil {
		failed = errors.Join(failed, fmt.Errorf("record how the change ended: %w", err))
	}
	return failed
}

// record adds a note on how a change ended, also after ctx has. It repeats attempts that are
// not answered: the stream of the notes elects a leader after its replicas were changed.
func (l *Log) record(ctx context.Context, trail *audit.Trail, note Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.client.OpenTimeout)
	defer cancel()
	rest := jet.NewPause(100*time.Millisecond, time.Second)
	for {
		attempt, cancel := context.WithTimeout(ctx, l.client.AckTimeout)
		_, err := trail.Add(attempt, settingsSubject, note)
		cancel()
		if err == nil || !jet.Passing(err) || rest.Wait(ctx) != nil {
			return err
		}
	}
}

// apply edits the streams.
func (l *Log) apply(ctx context.Context, wanted eventstore.Settings) error {
	if err := l.edit(ctx, layout.EventStream, func(c *jetstream.StreamConfig) {
		c.Replicas, c.MaxBytes, c.MaxAge, c.Duplicates = wanted.Replicas, wanted.MaxBytes, wanted.MaxAge, wanted.DuplicateWindow
	}); err != nil {
		return err
	}
	for _, name := range eventstore.BesideStreams() {
		err := l.edit(ctx, name, func(c *jetstream.StreamConfig) {
			if replicable(*c) {
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
	_, err := l.State(ctx)
	return err
}

// replicable reports whether the number of replicas of a stream can be changed. A bucket of
// sessions that was created for one replica cannot; a gateway that starts replaces it.
func replicable(c jetstream.StreamConfig) bool { return c.PersistMode != jetstream.AsyncPersistMode }

// Uneven returns the names of the streams beside the log that have another number of
// replicas than the log is to have, and can be given it.
func (l *Log) Uneven(ctx context.Context, replicas int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	var uneven []string
	for _, name := range eventstore.BesideStreams() {
		stream, err := l.client.JS.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
		case err != nil:
			return nil, fmt.Errorf("look at stream %s: %w", name, jet.Unavailable(err))
		case replicable(stream.CachedInfo().Config) && stream.CachedInfo().Config.Replicas != replicas:
			uneven = append(uneven, name)
		}
	}
	return uneven, nil
}

// ErrRefused is returned for settings that a gateway or the NATS servers do not take.
// Nothing was changed; a retry helps once the value, or the servers, are others.
var ErrRefused = errors.New("the log cannot have these settings")

// check returns the settings that the log has, or what refuses the wanted ones. A value that
// is not to be changed is not checked: another tool may have set it.
func (l *Log) check(ctx context.Context, wanted eventstore.Settings) (before eventstore.Settings, err error) {
	if before, err = l.AllSettings(ctx); err != nil || wanted == before {
		return before, err
	}
	cfg := l.Config()
	if wanted.Replicas != before.Replicas {
		cfg.Replicas = wanted.Replicas
	}
	if wanted.MaxBytes != before.MaxBytes {
		cfg.MaxBytes = wanted.MaxBytes
	}
	if wanted.MaxAge != before.MaxAge || wanted.DuplicateWindow != before.DuplicateWindow {
		cfg.MaxAge, cfg.DuplicateWindow = wanted.MaxAge, wanted.DuplicateWindow
	}
	if err := refused(cfg.Validate(), logNames); err != nil {
		return before, err
	}
	if wanted.SessionTTL != before.SessionTTL || wanted.SessionMaxBytes != before.SessionMaxBytes {
		if before.SessionTTL == 0 && before.SessionMaxBytes == 0 {
			return before, fmt.Errorf("%w: there is no bucket of sessions yet: the first gateway creates it, with its SOCKET_RECOVERY_TTL", ErrRefused)
		}
		limits := sessions.DefaultConfig()
		limits.TTL, limits.MaxBytes = wanted.SessionTTL, wanted.SessionMaxBytes
		if err := refused(limits.Validate(), sessionNames); err != nil {
			return before, err
		}
	}
	for _, name := range append(eventstore.BesideStreams(), layout.EventStream) {
		stream, err := l.client.JS.Stream(ctx, name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
		case err != nil:
			return before, fmt.Errorf("look at stream %s: %w", name, jet.Unavailable(err))
		case stream.CachedInfo().Config.Sealed:
			return before, fmt.Errorf("%w: stream %s is sealed, and the server takes no change of it", ErrRefused, name)
		}
	}
	if err := eventstore.FitsChange(ctx, l.client.Conn, l.Config().Domain, before, wanted); err != nil {
		return before, fmt.Errorf("%w: a stream like it cannot be created: %w", ErrRefused, err)
	}
	return before, nil
}

// The names that operators give to the settings, by the names of the fields.
var (
	logNames     = map[string]string{"Replicas": "replicas", "MaxBytes": "max-bytes", "MaxAge": "max-age", "DuplicateWindow": "dedup-window"}
	sessionNames = map[string]string{"TTL": "the time that the states of sessions stay", "MaxBytes": "session-bytes"}
)

// refused says in the operators' words which setting is out of its range.
func refused(err error, names map[string]string) error {
	var field *eventstore.FieldError
	if !errors.As(err, &field) {
		return err
	}
	return fmt.Errorf("%w: %s is %v, must be %s", ErrRefused, cmp.Or(names[field.Field], field.Field), field.Value, field.Want)
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

// Changes returns the recorded changes of the settings, oldest first, of the newest two
// thousand records.
func Changes(ctx context.Context, trail *audit.Trail) ([]Change, error) {
	const most = 2000
	var changes []Change
	var bad error
	begun := map[string]int{} // where the change is that has an ID
	_, err := trail.EachBefore(ctx, settingsSubject, 0, most, func(number uint64, note []byte) {
		var change Change
		if err := json.Unmarshal(note, &change); err != nil {
			bad = errors.Join(bad, fmt.Errorf("note %d: %w", number, err))
			return
		}
		if i, found := begun[change.ID]; found && change.ID != "" {
			changes[i] = change
			return
		}
		begun[change.ID] = len(changes)
		change.Outcome = cmp.Or(change.Outcome, OutcomeDone) // a record from before there were outcomes
		changes = append(changes, change)
	})
	return changes, errors.Join(err, bad)
}
