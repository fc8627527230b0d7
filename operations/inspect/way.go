package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// ErrNoEvent is returned by [WayOf] when neither the log nor the dead letters have
// the event. It was never received, or retention or an erasure has removed it.
var ErrNoEvent = errors.New("nothing matches: there is no such event, or no longer")

// Log is the log, as far as the way of an event goes; eventstore.Log is one.
type Log interface {
	State(ctx context.Context) (messaging.Extent, error)
	Scan(ctx context.Context, first, last uint64, each func(messaging.Record) error) error
	ScanJob(ctx context.Context, jobID string, first, last uint64, each func(messaging.Record) error) error
	ConsumerFloor(ctx context.Context, consumer string) (uint64, error)
	DeadLetters(ctx context.Context, after uint64, limit int) ([]maintain.Letter, error)
	AskFollowers(ctx context.Context, jobID string) (gateways, followers int, err error)
	AskGateways(ctx context.Context, question gateways.Question) (gateways.Answers, error)
}

// History is the read model of events; projections.Store is one.
type History interface {
	ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error)
}

// Query names an event.
type Query struct {
	// ID is the producer's id. Or Sequence is the event's in the log.
	ID       string
	Sequence uint64
	// JobID, if it is known, saves reading the events of other jobs.
	JobID string
}

// Way is the way that an event has gone.
type Way struct {
	ID string `json:"id,omitempty"`
	// Stored is each record of it in the log, oldest first: as a rule one, and one
	// more for each replay into the log.
	Stored []Stored `json:"stored"`
	// Letters are the dead letters that name it.
	Letters []Letter `json:"deadLetters"`
}

// Whole reports whether the event is where it should be: in the log, and in the read
// models as far as they say that they are.
func (w Way) Whole() bool {
	for _, s := range w.Stored {
		if s.Projected == ProjectedMissing {
			return false
		}
	}
	return len(w.Stored) > 0
}

// Unreachable reports whether MongoDB could not be asked for a record.
func (w Way) Unreachable() bool {
	return slices.ContainsFunc(w.Stored, func(s Stored) bool { return s.Projected == ProjectedUnreachable })
}

// Stored is one record of an event in the log.
type Stored struct {
	Sequence uint64         `json:"sequence"`
	Epoch    string         `json:"epoch"`
	JobID    string         `json:"jobId"`
	Kind     messaging.Kind `json:"kind"`
	Bytes    int            `json:"bytes"`
	// EmittedAt is the worker's time, or, where it gave none, that at which a gateway
	// received the event; EmittedBy says which: worker or gateway.
	EmittedAt string    `json:"emittedAt"`
	EmittedBy string    `json:"emittedBy"`
	StoredAt  time.Time `json:"storedAt"`
	// MessageID is the identity by which repeats are known.
	MessageID   string `json:"messageId"`
	TraceParent string `json:"traceparent,omitempty"`
	// ReplayOf is the epoch:sequence of the record that a replay repeated with it.
	ReplayOf string `json:"replayOf,omitempty"`
	// Projected says whether MongoDB has it, Floor up to where MongoDB has
	// everything.
	Projected Projected `json:"projected"`
	Floor     uint64    `json:"floor"`
	// ProjectedError is why MongoDB could not be asked.
	ProjectedError string `json:"projectedError,omitempty"`
	// Stages are what the gateways have recorded of it and still have, oldest first.
	Stages []Stage `json:"stages"`
	// Unasked counts the gateways that may have recorded more of it: they did not answer,
	// or not completely.
	Unasked int `json:"unasked,omitempty"`
	// Gateways answered the question for those who follow its job at this moment,
	// Followers is how many subscriptions they have together.
	Gateways  int `json:"gateways"`
	Followers int `json:"followers"`
}

// Projected is whether the history in MongoDB has a record.
type Projected string

// The answers.
const (
	ProjectedYes Projected = "yes"
	// ProjectedNotYet: the projection is not there yet.
	ProjectedNotYet Projected = "not-yet"
	// ProjectedMissing: the projection says that it has been there.
	ProjectedMissing Projected = "missing"
	// ProjectedIncomplete: MongoDB has a document for it, without the event.
	ProjectedIncomplete Projected = "incomplete"
	// ProjectedUnknown: there is no MongoDB to ask.
	ProjectedUnknown Projected = "unknown"
	// ProjectedUnreachable: MongoDB does not answer.
	ProjectedUnreachable Projected = "unreachable"
)

// Letter is a dead letter that names an event.
type Letter struct {
	Letter uint64           `json:"letter"`
	At     time.Time        `json:"at"`
	Reason messaging.Reason `json:"reason"`
	Detail string           `json:"detail"`
	Source string           `json:"source"`
}

// WayOf finds an event and where it is. history is nil without read models; told
// hears how far the search is, done of total sequences.
func WayOf(ctx context.Context, log Log, history History, query Query, told func(done, total uint64)) (Way, error) {
	way := Way{ID: query.ID, Stored: []Stored{}, Letters: []Letter{}}
	records, err := find(ctx, log, query, told)
	if err != nil {
		return way, err
	}
	asked := make(map[string]Stored) // the followers, by job
	for _, record := range records {
		stored := storedOf(record)
		known, found := asked[record.JobID]
		if !found {
			if known.Gateways, known.Followers, err = log.AskFollowers(ctx, record.JobID); err != nil {
				return way, err
			}
			asked[record.JobID] = known
		}
		stored.Gateways, stored.Followers = known.Gateways, known.Followers
		if stored.Stages, stored.Unasked, err = stages(ctx, log, record); err != nil {
			return way, err
		}
		if err := project(ctx, log, history, record, &stored); err != nil {
			return way, err
		}
		way.Stored = append(way.Stored, stored)
		way.ID = record.ID
	}
	if query.ID != "" {
		if way.Letters, err = letters(ctx, log, query); err != nil {
			return way, err
		}
	}
	if len(way.Stored)+len(way.Letters) == 0 {
		return way, ErrNoEvent
	}
	return way, nil
}

// find returns the records of the event.
func find(ctx context.Context, log Log, query Query, told func(done, total uint64)) ([]messaging.Record, error) {
	state, err := log.State(ctx)
	if err != nil {
		return nil, err
	}
	first, last := state.First, state.Last
	if query.Sequence > 0 {
		first, last = query.Sequence, query.Sequence
	}
	var found []messaging.Record
	each := func(record messaging.Record) error {
		if told != nil {
			told(record.Sequence-first+1, last-first+1)
		}
		if query.ID == "" || record.ID == query.ID {
			found = append(found, record)
		}
		return ctx.Err()
	}
	if query.JobID != "" {
		err = log.ScanJob(ctx, query.JobID, first, last, each)
	} else {
		err = log.Scan(ctx, first, last, each)
	}
	return found, err
}

func storedOf(record messaging.Record) Stored {
	stored := Stored{
		Sequence: record.Sequence, Epoch: record.Epoch, JobID: record.JobID, Kind: record.Kind, Bytes: len(record.Body),
		EmittedAt: record.EmittedAt, EmittedBy: "gateway", StoredAt: record.StoredAt, MessageID: record.MessageID, TraceParent: record.TraceParent,
	}
	var fields map[string]json.RawMessage // not a struct: its names would match in any case
	if json.Unmarshal(record.Body, &fields) == nil && fields["emittedAt"] != nil {
		stored.EmittedBy = "worker"
	}
	if record.ReplayOf.Sequence > 0 {
		stored.ReplayOf = record.ReplayOf.String()
	}
	return stored
}

// project finds out whether MongoDB has a record.
func project(ctx context.Context, log Log, history History, record messaging.Record, stored *Stored) (err error) {
	stored.Projected = ProjectedUnknown
	if history == nil {
		return nil
	}
	// The floor first: what is at most there then is in MongoDB now.
	stored.Floor, err = log.ConsumerFloor(ctx, projections.History)
	if err != nil && !errors.Is(err, eventstore.ErrNoConsumer) {
		return err
	}
	before := messaging.Position{Epoch: record.Epoch, Sequence: record.Sequence - 1}
	documents, err := history.ReadAfter(ctx, record.JobID, before, 1)
	switch {
	case errors.Is(err, projections.ErrIncomplete):
		stored.Projected = ProjectedIncomplete
	case err != nil:
		if ctx.Err() != nil {
			return fmt.Errorf("ask MongoDB for sequence %d: %w", record.Sequence, err)
		}
		stored.Projected, stored.ProjectedError = ProjectedUnreachable, err.Error()
	case len(documents) > 0 && documents[0].Sequence == record.Sequence:
		stored.Projected = ProjectedYes
	case record.Sequence <= stored.Floor:
		stored.Projected = ProjectedMissing
	default:
		stored.Projected = ProjectedNotYet
	}
	return nil
}

// pageLetters is how many dead letters are read at once.
const pageLetters = 100

// letters returns the dead letters whose bodies name the id, and the job, if that is
// known.
func letters(ctx context.Context, log Log, query Query) ([]Letter, error) {
	found := []Letter{}
	for after := uint64(0); ; {
		page, err := log.DeadLetters(ctx, after, pageLetters)
		if err != nil {
			return nil, err
		}
		for _, letter := range page {
			after = letter.Sequence
			var named struct {
				ID    string `json:"id"`
				JobID string `json:"jobId"`
			}
			if json.Unmarshal(letter.Body, &named) != nil || named.ID != query.ID || query.JobID != "" && named.JobID != query.JobID {
				continue
			}
			found = append(found, Letter{
				Letter: letter.Sequence, At: letter.At, Reason: letter.Reason, Detail: letter.Detail, Source: letter.Source,
			})
		}
		if len(page) == 0 { // a page is bounded in bytes, so a short one is not the last
			return found, nil
		}
	}
}
