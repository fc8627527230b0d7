package replay

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Log is what a replay reads; maintain.Log is one.
type Log interface {
	State(ctx context.Context) (messaging.Extent, error)
	// FirstSince returns the sequence of the first record that the log took at or
	// after a time, and the one after the last when there is none.
	FirstSince(ctx context.Context, at time.Time) (uint64, error)
	// Scan and ScanJob call each with the records from the first sequence to the
	// last, of all jobs and of one, until it fails.
	Scan(ctx context.Context, first, last uint64, each func(messaging.Record) error) error
	ScanJob(ctx context.Context, jobID string, first, last uint64, each func(messaging.Record) error) error
}

// Selection chooses records. The zero value chooses all that the log holds.
type Selection struct {
	// From is where to begin. To is where to end: a sequence included, a time not.
	From, To Bound
	// Jobs, Kinds and Types are those of the records; none means any. A type is
	// the string event.type in the body.
	Jobs  []string
	Kinds []messaging.Kind
	Types []string
	// NotRun leaves out what a run, as [marked] has it, appended to the log; empty
	// leaves out nothing.
	NotRun string
}

// lets reports whether a record between the bounds is chosen.
func (s Selection) lets(record messaging.Record) bool {
	if s.NotRun != "" && record.ReplayOf.Sequence > 0 && strings.HasPrefix(record.MessageID, s.NotRun+runEnd) {
		return false
	}
	return (len(s.Jobs) == 0 || slices.Contains(s.Jobs, record.JobID)) &&
		(len(s.Kinds) == 0 || slices.Contains(s.Kinds, record.Kind)) &&
		(len(s.Types) == 0 || slices.Contains(s.Types, TypeOf(record.Body)))
}

// scan reads what may be chosen: one job's records without those of others.
func (s Selection) scan(ctx context.Context, log Log, first, last uint64, each func(messaging.Record) error) error {
	if first > last {
		return nil
	}
	if len(s.Jobs) == 1 {
		return log.ScanJob(ctx, s.Jobs[0], first, last, each)
	}
	return log.Scan(ctx, first, last, each)
}

// TypeOf returns the string event.type of an envelope, empty when it has none.
func TypeOf(body []byte) string {
	var typed struct {
		Event struct {
			Type string `json:"type"`
		} `json:"event"`
	}
	_ = json.Unmarshal(body, &typed) // what cannot be read has no type
	return typed.Event.Type
}
