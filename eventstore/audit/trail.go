package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

const (
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

// notesPage is how many notes are read at once.
const notesPage = 256

// Trail is the record of what was removed from the log for good and of changes of its
// settings, in the stream NOVEL_AUDIT: the server refuses to delete or purge from it. The
// first note creates the stream.
type Trail struct{ client *jet.Client }

// New returns the trail on a connection, in a JetStream domain, or that of the server where
// domain is empty. The server may have no log.
func New(conn *nats.Conn, domain string) (*Trail, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	return Beside(client), nil
}

// Beside returns the trail beside a log, whose client it shares.
func Beside(client *jet.Client) *Trail { return &Trail{client: client} }

// Note adds a note, and returns its number. The caller may repeat it after an
// error: then it may stand there twice.
func (t *Trail) Note(ctx context.Context, erasure Erasure) (uint64, error) {
	token, err := layout.Token(erasure.JobID)
	if err != nil {
		return 0, fmt.Errorf("note an erasure: %w", err)
	}
	return t.Add(ctx, layout.ErasurePrefix+token, erasure)
}

// Add appends a note under a subject that begins with novel.audit., and returns its number.
// The caller may repeat it after an error: then it may be recorded twice.
func (t *Trail) Add(ctx context.Context, subject string, note any) (uint64, error) {
	payload, err := json.Marshal(note)
	if err != nil {
		return 0, fmt.Errorf("add a note to the audit trail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.client.OpenTimeout)
	defer cancel()
	if err := t.ensure(ctx); err != nil {
		return 0, fmt.Errorf("add a note to the audit trail: %w", err)
	}
	ack, err := t.client.JS.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: payload})
	if err != nil {
		return 0, fmt.Errorf("add a note to the audit trail: %w", jet.Unavailable(err))
	}
	return ack.Sequence, nil
}

// ensure makes the stream if it is not there, and gives it as many replicas as the log
// has, if there is one.
func (t *Trail) ensure(ctx context.Context) error {
	js := t.client.JS
	replicas := 0
	events, err := js.Stream(ctx, layout.EventStream)
	if err == nil {
		replicas = events.CachedInfo().Config.Replicas
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return jet.Unavailable(err)
	}
	audit, err := js.Stream(ctx, layout.AuditStream)
	if err == nil {
		wanted := audit.CachedInfo().Config
		if replicas <= wanted.Replicas {
			return nil
		}
		wanted.Replicas = replicas
		_, err = js.UpdateStream(ctx, wanted)
		return jet.Unavailable(err)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return jet.Unavailable(err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: layout.AuditStream, Description: "What was removed from the log for good, by whom and why.",
		Subjects: []string{layout.AuditPrefix + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxBytes: auditMaxBytes, Replicas: max(replicas, 1),
		AllowDirect: true, DenyDelete: true, DenyPurge: true,
		RePublish: &jetstream.RePublish{Source: layout.ErasurePrefix + ">", Destination: layout.ErasedPrefix + ">", HeadersOnly: true},
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another erasure was faster
	}
	return jet.Unavailable(err)
}

// Newest returns the number of the newest note on an erasure, 0 when there is none.
func (t *Trail) Newest(ctx context.Context) (uint64, error) {
	return t.newest(ctx, layout.ErasurePrefix+">")
}

// After returns every note with a number greater than after, in their order, and
// the number of the newest: all that there were when it was called.
func (t *Trail) After(ctx context.Context, after uint64) (notes []Erasure, newest uint64, err error) {
	newest, err = t.Newest(ctx)
	if err != nil {
		return nil, 0, err
	}
	notes, err = t.read(ctx, after, newest)
	return notes, newest, err
}

// Begun returns the notes after a number of erasures that began, and the newest number of
// all notes.
func (t *Trail) Begun(ctx context.Context, after uint64) (notes []Erasure, newest uint64, err error) {
	notes, newest, err = t.After(ctx, after)
	return slices.DeleteFunc(notes, func(note Erasure) bool { return note.Stage != StageBegun }), newest, err
}

// Of returns the notes on one job, in their order.
func (t *Trail) Of(ctx context.Context, jobID string) ([]Erasure, error) {
	all, _, err := t.After(ctx, 0)
	return slices.DeleteFunc(all, func(note Erasure) bool { return note.JobID != jobID }), err
}

func (t *Trail) read(ctx context.Context, after, newest uint64) ([]Erasure, error) {
	var notes []Erasure
	for after < newest {
		last := after
		var bad error
		request := jet.Request{Sequence: after + 1, Next: layout.ErasurePrefix + ">", Batch: notesPage, MaxBytes: jet.BatchBytes}
		err := t.client.Batch(ctx, layout.AuditStream, request, func(found jet.Message) {
			last = found.Sequence
			var note Erasure
			if err := json.Unmarshal(found.Body, &note); err != nil {
				bad = errors.Join(bad, fmt.Errorf("note %d: %w", found.Sequence, err))
				return
			}
			note.Number = found.Sequence
			notes = append(notes, note)
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, fmt.Errorf("read the notes after %d: %w", after, err)
		}
		if last == after {
			return nil, fmt.Errorf("read the notes after %d: %w: a replica is behind %d", after, jet.ErrIncomplete, newest)
		}
		after = last
	}
	return notes, nil
}

// Watch calls heard, on a goroutine of the connection, whenever a note is added,
// until ctx ends. One can be missed while the connection is away.
func (t *Trail) Watch(ctx context.Context, heard func()) error {
	sub, err := t.client.Conn.Subscribe(layout.ErasedPrefix+">", func(*nats.Msg) { heard() })
	if err != nil {
		return fmt.Errorf("listen for erasures: %w", jet.Unavailable(err))
	}
	<-ctx.Done()
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stop listening for erasures: %w", err)
	}
	return nil
}
