package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// A panic over a record may pass: the next attempt may write it. So a record that was
// omitted is tried again, retryTries times, after a pause that doubles from retryPause:
// for some 6 s. Meanwhile readers take the page from the log, see [ErrIncomplete].
//
// A shadow, and a collection of [Store.Collect], are written while nobody waits for them.
// There the batch waits for its own records, rebuildTries times: for 0.7 s.
const (
	retryTries   = 6
	rebuildTries = 3
	retryPause   = 100 * time.Millisecond

	// maxRetries and maxRetryBytes bound the records that wait. More are not tried again.
	maxRetries    = 1000
	maxRetryBytes = 8 << 20
)

// omission is a record that a projection could not write, and that was omitted.
type omission struct {
	projection string
	record     messaging.Record
	tries      int
	due        time.Time
}

// retries are omitted records that the goroutine of [Store.restoreOmitted] tries again.
type retries struct {
	added chan struct{} // has room for one

	mu      sync.Mutex // guards the fields below
	waiting []omission
	bytes   int // of the bodies
}

func newRetries() *retries { return &retries{added: make(chan struct{}, 1)} }

// add adds an omission that is due after its pause. It reports whether there is room.
func (r *retries) add(o omission) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := len(o.record.Body)
	if len(r.waiting) == maxRetries || r.bytes+size > maxRetryBytes {
		return false
	}
	o.due = time.Now().Add(retryPause << o.tries)
	r.waiting, r.bytes = append(r.waiting, o), r.bytes+size
	select {
	case r.added <- struct{}{}:
	default:
	}
	return true
}

// take removes the omissions that are due and returns them, and how long it is until the
// next one is.
func (r *retries) take(now time.Time) (due []omission, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = time.Hour
	r.waiting = slices.DeleteFunc(r.waiting, func(o omission) bool {
		if now.Before(o.due) {
			next = min(next, o.due.Sub(now))
			return false
		}
		due, r.bytes = append(due, o), r.bytes-len(o.record.Body)
		return true
	})
	return due, next
}

// retry has omitted records tried again: by the goroutine of restoreOmitted, or, where the
// store has none, at once.
func (s *Store) retry(ctx context.Context, omitted []omission) {
	if s.retries != nil {
		for _, o := range omitted {
			if !s.retries.add(o) {
				s.reportReduced(ctx, o.projection, o.record, keptNothing, 0)
			}
		}
		return
	}
	for try := range rebuildTries {
		if len(omitted) == 0 || wait.For(ctx, retryPause<<try) != nil {
			return
		}
		omitted = slices.DeleteFunc(omitted, func(o omission) bool { return s.restore(ctx, o) == nil })
	}
	for _, o := range omitted {
		s.reportReduced(ctx, o.projection, o.record, keptNothing, 0)
	}
}

// restoreOmitted tries omitted records again, until ctx ends.
func (s *Store) restoreOmitted(ctx context.Context) {
	next := time.Hour
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.retries.added:
		case <-time.After(next):
		}
		var due []omission
		due, next = s.retries.take(time.Now())
		for _, o := range due {
			err := s.restore(ctx, o)
			if err == nil {
				continue
			}
			if ctx.Err() != nil {
				return // The note of the omission stays.
			}
			if isOutage(err) { // That says nothing of the record: it has another try.
				o.tries = retryTries - 1
			} else {
				o.tries++
			}
			if o.tries == retryTries || !s.retries.add(o) {
				s.reportReduced(ctx, o.projection, o.record, keptNothing, codeOf(err))
			}
		}
	}
}

// restore writes an omitted record in full, and ends the note of its omission. The document
// may have been erased, or replaced, since it was omitted; then nothing changes.
func (s *Store) restore(ctx context.Context, o omission) error {
	return s.guard.Do(o.projection, func() error {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
		defer cancel()
		if o.projection == JobHeads {
			return s.restoreHead(ctx, o.record)
		}
		filter := bson.D{{Key: fieldID, Value: o.record.Position.String()}, {Key: fieldOmitted, Value: true}}
		if _, err := s.events.ReplaceOne(ctx, filter, newEvent(o.record).document(shapeFull)); err != nil {
			return fmt.Errorf("restore sequence %d of %q: %w", o.record.Sequence, o.projection, err)
		}
		_, err := s.omissions().DeleteOne(ctx, omissionOf(o.projection, o.record))
		return err
	})
}

// errReplaced is returned for a head whose note was replaced by that of another omission.
var errReplaced = errors.New("the note of the omission was replaced by another")

// restoreHead is restore for a head. Unlike an event, an omitted head has no document that
// shows whether it was erased. Its note shows that: an erasure removes the notes of a job
// before the heads, so that a head may stay if its note was not removed before the head was
// written. A note that takes the place of another keeps its fieldSlot; one that takes the
// place of a note that was removed has another. The note stays, marked as restored, because
// another process may restore the same head.
func (s *Store) restoreHead(ctx context.Context, record messaging.Record) error {
	fail := func(err error) error {
		return fmt.Errorf("restore sequence %d of %q: %w", record.Sequence, JobHeads, err)
	}
	note := omissionOf(JobHeads, record)
	found, err := s.omissions().FindOne(ctx, note[:1]).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return nil // erased
	case err != nil:
		return fail(err)
	case positionOf(found) != record.Position:
		return fail(errReplaced)
	}
	if err := s.putHeads(ctx, []messaging.Record{record}); err != nil {
		return err
	}
	slot := bson.E{Key: fieldSlot, Value: slotOf(found)}
	marked, err := s.omissions().UpdateOne(ctx, append(note, slot), bson.D{{Key: "$set", Value: bson.D{{Key: fieldRestored, Value: true}}}})
	if err != nil {
		return fail(err)
	}
	if marked.MatchedCount > 0 {
		return nil
	}
	now, err := s.omissions().FindOne(ctx, note[:1]).Raw()
	switch {
	case err == nil && slotOf(now) == slot.Value:
		return fail(errReplaced) // The head stays: this is not a sign of an erasure.
	case err != nil && !errors.Is(err, mongo.ErrNoDocuments):
		return fail(err)
	}
	// The note was removed, as by an erasure of the job, and another may have its place.
	replaced := err == nil
	written := bson.D{
		{Key: fieldID, Value: record.JobID}, {Key: fieldSequence, Value: stored(record.Sequence)}, {Key: fieldEpoch, Value: record.Epoch},
	}
	if _, err := s.heads.DeleteOne(ctx, written); err != nil {
		return fail(err)
	}
	if replaced {
		return fail(errReplaced)
	}
	return nil
}

// slotOf returns what distinguishes the notes of one slot since it was last empty; nil in a
// note of an earlier version.
func slotOf(note bson.Raw) any {
	if id, found := note.Lookup(fieldSlot).ObjectIDOK(); found {
		return id
	}
	return nil
}

// omissionsCollection has a note of each record that was omitted, for operators. It has at
// most omissionSlots documents for each projection: a later note replaces an earlier one
// whose sequence has the same remainder.
const (
	omissionsCollection = "novel_projection_omissions"
	omissionSlots       = 1000
	// fieldRestored is true in a note of a head that was restored since.
	fieldRestored = "restored"
	// fieldSlot is a new value in the first note in a place, and the same in those that
	// replace it.
	fieldSlot = "slot"
)

// Omission is a record that MongoDB does not have in full.
type Omission struct {
	messaging.Position `bson:"-"`
	Projection         string `bson:"projection"`
	JobID              string `bson:"jobId"`
	// StoredAt is when the log took the record; zero in notes of earlier versions.
	StoredAt time.Time `bson:"storedAt"`
}

func (s *Store) omissions() *mongo.Collection {
	return s.events.Database().Collection(omissionsCollection, sure())
}

func omissionOf(projection string, record messaging.Record) bson.D {
	return bson.D{
		{Key: fieldID, Value: fmt.Sprintf("%s:%d", projection, record.Sequence%omissionSlots)},
		{Key: fieldSequence, Value: stored(record.Sequence)},
		{Key: fieldEpoch, Value: record.Epoch},
	}
}

// noteOmission notes that a record was omitted.
func (s *Store) noteOmission(ctx context.Context, projection string, record messaging.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	note := omissionOf(projection, record)
	set := append(note[1:],
		bson.E{Key: "projection", Value: projection},
		bson.E{Key: fieldJobID, Value: record.JobID},
		bson.E{Key: "storedAt", Value: bson.NewDateTimeFromTime(record.StoredAt)},
		bson.E{Key: fieldUpdatedAt, Value: bson.NewDateTimeFromTime(time.Now())})
	update := bson.D{
		{Key: "$set", Value: set},
		{Key: "$unset", Value: bson.D{{Key: fieldRestored, Value: ""}}},
		{Key: "$setOnInsert", Value: bson.D{{Key: fieldSlot, Value: bson.NewObjectID()}}},
	}
	if _, err := s.omissions().UpdateOne(ctx, note[:1], update, options.UpdateOne().SetUpsert(true)); err != nil {
		return fmt.Errorf("note that sequence %d of %q was omitted: %w", record.Sequence, projection, err)
	}
	return nil
}

// Omitted returns the records that MongoDB does not have in full, in no order: at most
// omissionSlots of each projection. The log has them. It fails with [ErrUnavailable].
func (s *Store) Omitted(ctx context.Context) (found []Omission, err error) {
	err = s.read(ctx, omissionsCollection, func(ctx context.Context) error {
		found = nil
		cursor, err := s.omissions().Find(ctx, bson.D{}, options.Find().SetLimit(2*omissionSlots))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(ctx) }() // as in findEvents
		for cursor.Next(ctx) {
			var o Omission
			if err := cursor.Decode(&o); err != nil {
				return err
			}
			o.Position = positionOf(cursor.Current)
			found = append(found, o)
		}
		return cursor.Err()
	})
	if err != nil {
		return nil, err
	}
	return s.stillOmitted(ctx, found)
}

// stillOmitted returns the omissions whose record is not there in full. A note may be out of
// date: the record was restored, rebuilt or erased since. It asks once for each collection.
func (s *Store) stillOmitted(ctx context.Context, noted []Omission) ([]Omission, error) {
	var ids, jobs bson.A
	for _, o := range noted {
		if o.Projection == JobHeads {
			jobs = append(jobs, o.JobID)
		} else {
			ids = append(ids, o.Position.String())
		}
	}
	events, err := s.byID(ctx, s.events, ids, bson.E{Key: fieldOmitted, Value: true})
	if err != nil {
		return nil, err
	}
	heads, err := s.byID(ctx, s.heads, jobs)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(noted, func(o Omission) bool {
		if o.Projection == JobHeads {
			head, found := heads[o.JobID]
			return found && replaces(head, o)
		}
		_, omitted := events[o.Position.String()]
		return !omitted
	}), nil
}

// replaces reports whether a head is of the status that was omitted, in full, or of a later
// one: one of the same epoch with at least the sequence, or one of another epoch that was
// stored since. A head of an earlier epoch is an earlier one, whatever its sequence is.
func replaces(head bson.Raw, o Omission) bool {
	at := positionOf(head)
	if at == o.Position {
		return head.Lookup(fieldOmitted).Type != bson.TypeBoolean
	}
	if at.Epoch == o.Epoch {
		return at.Sequence > o.Sequence
	}
	stored, isTime := head.Lookup(fieldUpdatedAt).TimeOK()
	return isTime && stored.After(o.StoredAt)
}

// byID returns what a collection has of documents, by the text of their _id: their position,
// their time and whether their event is omitted.
func (s *Store) byID(ctx context.Context, collection *mongo.Collection, ids bson.A, also ...bson.E) (found map[string]bson.Raw, err error) {
	found = make(map[string]bson.Raw)
	if len(ids) == 0 {
		return found, nil
	}
	filter := append(bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}}, also...)
	var fields bson.D
	for _, name := range []string{fieldSequence, fieldEpoch, fieldUpdatedAt, fieldOmitted} {
		fields = append(fields, bson.E{Key: name, Value: 1})
	}
	err = s.read(ctx, collection.Name(), func(ctx context.Context) error {
		cursor, err := collection.Find(ctx, filter, options.Find().SetProjection(fields))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(ctx) }() // as in findEvents
		for cursor.Next(ctx) {
			found[text(cursor.Current, fieldID)] = slices.Clone(cursor.Current)
		}
		return cursor.Err()
	})
	return found, err
}
