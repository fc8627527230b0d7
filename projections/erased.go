package projections

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A worker may write an event into novel_job_events after its job was erased: its write
// was delayed, or repeated. Such a document has no sequence and no record, so that only
// the time of its event distinguishes it from a new one.

// erasureClock is how far the clock of a worker may be ahead of that of the process that
// noted an erasure. A worker's document of a new event within this time is removed as well;
// the projection's own document of the event stays.
const erasureClock = 10 * time.Second

// Erasure says that a job was erased.
type Erasure struct {
	JobID string
	// At is when the erasure began: what the job had by then is erased.
	At time.Time
}

// Erasures is where erasures are noted.
type Erasures interface {
	// Erased returns the erasures that were noted after a number, in that order, and the
	// newest number. The answer is never older than the call.
	Erased(ctx context.Context, after uint64) (erased []Erasure, newest uint64, err error)
}

// Honour makes the store remove the documents that workers write of erased events. It must
// be called before [Store.Run] and [Store.Model].
func (s *Store) Honour(erasures Erasures) { s.erasures = erasures }

// erased has the time at which each erased job was last erased. Its size is bounded by the
// record of erasures, whose 64 MiB have room for notes of at most 300,000 jobs.
type erased struct {
	source Erasures // nil: no job is ever erased
	newest uint64   // the number of the last erasure that was read
	at     map[string]time.Time
}

func (s *Store) newErased() *erased {
	return &erased{source: s.erasures, at: make(map[string]time.Time)}
}

// update reads the erasures that were noted since the last call, and returns their jobs.
func (e *erased) update(ctx context.Context, timeout time.Duration) (jobs map[string]bool, err error) {
	if e.source == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	noted, newest, err := e.source.Erased(ctx, e.newest)
	if err != nil {
		return nil, fmt.Errorf("ask for erasures: %w", err)
	}
	jobs = make(map[string]bool)
	for _, erasure := range noted {
		if erasure.At.After(e.at[erasure.JobID]) {
			e.at[erasure.JobID] = erasure.At
			jobs[erasure.JobID] = true
		}
	}
	e.newest = newest
	return jobs, nil
}

// covers reports whether a document without a sequence is of an erased event.
func (e *erased) covers(doc bson.Raw) bool {
	at, found := e.at[text(doc, fieldJobID)]
	if !found {
		return false
	}
	occurred, err := time.Parse(time.RFC3339, timeText(doc.Lookup(fieldEmittedAt)))
	if err != nil {
		occurred = madeAt(doc)
	}
	return !occurred.IsZero() && !occurred.After(at.Add(erasureClock))
}

// removeErased removes documents of erased events, unless they were given a sequence since:
// also from a shadow that a rebuild has copied them into, and from collections that swaps
// have put aside.
func (s *Store) removeErased(ctx context.Context, ids bson.A) error {
	if len(ids) == 0 {
		return nil
	}
	names, err := s.models(ctx)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		model, _ := partOf(name)
		return model != eventsCollection
	})
	for len(ids) > 0 {
		chunk := ids[:min(eraseIDs, len(ids))]
		ids = ids[len(chunk):]
		filter := bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: chunk}}}, {Key: fieldSequence, Value: nil}}
		for _, name := range names {
			if err := s.remove(ctx, name, filter); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string, filter bson.D) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if _, err := s.events.Database().Collection(name, sure()).DeleteMany(ctx, filter); err != nil {
		return fmt.Errorf("remove what is erased from %s: %w: %w", name, ErrUnavailable, err)
	}
	return nil
}
