package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	auditStream   = "NOVEL_AUDIT"
	auditPrefix   = "novel.audit."
	erasurePrefix = "novel.audit.erasure."
	// erasedPrefix is where what is noted of erasures is heard, without its content.
	erasedPrefix = "novel.erased."
	// auditMaxBytes is room for some hundred thousand records. A full stream refuses
	// an erasure rather than forget one.
	auditMaxBytes = 64 << 20
)

// Stage says how far an erasure is.
type Stage string

// The stages.
const (
	// StageBegun is noted before anything is removed: from then on gateways show
	// nothing of what is to go.
	StageBegun Stage = "begun"
	// StageDone is noted once all is gone.
	StageDone Stage = "done"
)

// Erasure is what the audit stream says of one erasure, at one stage.
type Erasure struct {
	// Number is the note's place in the audit stream.
	Number uint64 `json:"number,omitempty"`
	// ID is the same in the notes of one erasure.
	ID string `json:"id"`
	// Of is set when a restore has made an erasure of the record necessary once more:
	// the ID of that.
	Of    string    `json:"of,omitempty"`
	Stage Stage     `json:"stage"`
	At    time.Time `json:"at"`
	JobID string    `json:"jobId"`
	// By is who asked for it, and Reason why.
	By     string `json:"by"`
	Reason string `json:"reason"`
	// Epoch and Through are what was erased: everything of the job in that life of
	// the log up to that sequence, and in earlier lives.
	Epoch   string `json:"epoch"`
	Through uint64 `json:"through"`
	// Purged says that the job had too many events and dead letters to overwrite each:
	// nobody can read them from the server, and their bytes stay in its files until it
	// writes those anew.
	Purged bool `json:"purged,omitempty"`
	// Removed counts what was found when it began; what was removed, once it is done.
	Removed Removed `json:"removed"`
	// Backups are the folders in whose manifests the erasure was noted.
	Backups []string `json:"backups,omitempty"`
}

// Removed counts what an erasure removes.
type Removed struct {
	Events    uint64 `json:"events"`
	Letters   uint64 `json:"deadLetters"`
	Documents uint64 `json:"documents"`
	Heads     uint64 `json:"heads"`
}

// Any reports whether anything is counted.
func (r Removed) Any() bool { return r != Removed{} }

// Audit is the record of what was removed from the log for good, in the stream
// NOVEL_AUDIT: the server refuses to delete or purge from it. It is there from the
// first note on.
type Audit struct{ log *Log }

// Audit returns the record beside the log.
func (l *Log) Audit() *Audit { return &Audit{log: l} }

// NewAudit returns the record on a connection whose server may have no log now.
func NewAudit(conn *nats.Conn, cfg Config, logger *slog.Logger) (*Audit, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("open the record of erasures: %w", err)
	}
	return &Audit{log: newLog(conn, js, cfg, logger, nil)}, nil
}

// Note adds a note, and returns its number. The caller may repeat it after an
// error: then it may stand there twice.
func (a *Audit) Note(ctx context.Context, erasure Erasure) (uint64, error) {
	token, err := tokenOf(erasure.JobID)
	if err != nil {
		return 0, fmt.Errorf("note an erasure: %w", err)
	}
	payload, err := json.Marshal(erasure)
	if err != nil {
		return 0, fmt.Errorf("note an erasure: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.log.cfg.OpenTimeout)
	defer cancel()
	if err := a.ensure(ctx); err != nil {
		return 0, fmt.Errorf("note an erasure: %w", err)
	}
	ack, err := a.log.js.PublishMsg(ctx, &nats.Msg{Subject: erasurePrefix + token, Data: payload})
	if err != nil {
		return 0, fmt.Errorf("note an erasure: %w", unavailable(err))
	}
	return ack.Sequence, nil
}

// ensure makes the stream if it is not there, and gives it as many replicas as the log
// has, if there is one.
func (a *Audit) ensure(ctx context.Context) error {
	js := a.log.js
	replicas := 0
	events, err := js.Stream(ctx, eventStream)
	if err == nil {
		replicas = events.CachedInfo().Config.Replicas
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return unavailable(err)
	}
	audit, err := js.Stream(ctx, auditStream)
	if err == nil {
		wanted := audit.CachedInfo().Config
		if replicas <= wanted.Replicas {
			return nil
		}
		wanted.Replicas = replicas
		_, err = js.UpdateStream(ctx, wanted)
		return unavailable(err)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return unavailable(err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: auditStream, Description: "What was removed from the log for good, by whom and why.",
		Subjects: []string{auditPrefix + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxBytes: auditMaxBytes, Replicas: max(replicas, 1),
		AllowDirect: true, DenyDelete: true, DenyPurge: true,
		RePublish: &jetstream.RePublish{Source: erasurePrefix + ">", Destination: erasedPrefix + ">", HeadersOnly: true},
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another erasure was faster
	}
	return unavailable(err)
}

// Newest returns the number of the newest note, 0 when there is none. The leader of
// the stream answers.
func (a *Audit) Newest(ctx context.Context) (uint64, error) {
	// Not the last sequence of the stream, which holds other notes, too.
	newest, err := a.log.leader(ctx, auditStream, directRequest{Last: erasurePrefix + ">"})
	switch {
	case errors.Is(err, errNotFound), hasCode(err, jetstream.JSErrCodeStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("ask for the newest note in stream %s: %w", auditStream, err)
	}
	return newest.sequence, nil
}

// After returns every note with a number greater than after, in their order, and
// the number of the newest: all that there were when it was called.
func (a *Audit) After(ctx context.Context, after uint64) (notes []Erasure, newest uint64, err error) {
	newest, err = a.Newest(ctx)
	if err != nil {
		return nil, 0, err
	}
	notes, err = a.read(ctx, after, newest)
	return notes, newest, err
}

// Begun returns the notes after a number of erasures that began, and the newest number of
// all notes.
func (a *Audit) Begun(ctx context.Context, after uint64) (notes []Erasure, newest uint64, err error) {
	notes, newest, err = a.After(ctx, after)
	return slices.DeleteFunc(notes, func(note Erasure) bool { return note.Stage != StageBegun }), newest, err
}

// Of returns the notes on one job, in their order.
func (a *Audit) Of(ctx context.Context, jobID string) ([]Erasure, error) {
	all, _, err := a.After(ctx, 0)
	return slices.DeleteFunc(all, func(note Erasure) bool { return note.JobID != jobID }), err
}

func (a *Audit) read(ctx context.Context, after, newest uint64) ([]Erasure, error) {
	var notes []Erasure
	for after < newest {
		last := after
		var bad error
		request := directRequest{Sequence: after + 1, Next: erasurePrefix + ">", Batch: erasePage, MaxBytes: batchBytes}
		err := a.log.batch(ctx, auditStream, request, func(found message) {
			last = found.sequence
			var note Erasure
			if err := json.Unmarshal(found.body, &note); err != nil {
				bad = errors.Join(bad, fmt.Errorf("note %d: %w", found.sequence, err))
				return
			}
			note.Number = found.sequence
			notes = append(notes, note)
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, fmt.Errorf("read the notes after %d: %w", after, err)
		}
		if last == after {
			return nil, fmt.Errorf("read the notes after %d: %w: a replica is behind %d", after, ErrIncomplete, newest)
		}
		after = last
	}
	return notes, nil
}

// Watch calls heard, on a goroutine of the connection, whenever a note is added,
// until ctx ends. One can be missed while the connection is away.
func (a *Audit) Watch(ctx context.Context, heard func()) error {
	sub, err := a.log.conn.Subscribe(erasedPrefix+">", func(*nats.Msg) { heard() })
	if err != nil {
		return fmt.Errorf("listen for erasures: %w", unavailable(err))
	}
	<-ctx.Done()
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stop listening for erasures: %w", err)
	}
	return nil
}
