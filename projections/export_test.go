package projections

import (
	"context"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// RoundTrip returns a JSON value after its way through BSON.
func RoundTrip(text []byte) ([]byte, error) {
	value, err := decodeJSON(text)
	if err != nil {
		return nil, err
	}
	kind, data, err := bson.MarshalValue(value)
	if err != nil {
		return nil, err
	}
	return appendValue(nil, bson.RawValue{Type: kind, Value: data})
}

// Documents returns the record's document in each shape, the fullest first.
func Documents(record messaging.Record) []bson.D {
	e := newEvent(record)
	return []bson.D{e.document(shapeFull), e.document(shapeRaw), e.document(shapeBare)}
}

// Heads returns the head of a status in each shape, the fullest first.
func Heads(record messaging.Record) []bson.D {
	e := newEvent(record)
	return []bson.D{e.head(shapeFull), e.head(shapeRaw), e.head(shapeBare)}
}

// DecodeRecord returns the record of a document.
func DecodeRecord(doc bson.Raw) (messaging.Record, error) { return decodeRecord(doc) }

// IsOutage is how writes tell an outage from a refusal.
var IsOutage = isOutage

// ErrMalformed marks a document of another writer that is no event.
var ErrMalformed = errMalformed

// Adopter is the adopter, one pass at a time.
type Adopter struct{ *adopter }

// NewAdopter returns an adopter of the store's.
func (s *Store) NewAdopter() Adopter { return Adopter{s.newAdopter()} }

// Pass makes a pass over everything, however lately it was looked at, and gives the
// lease up.
func (a Adopter) Pass(ctx context.Context) error {
	a.looks = newLooks()
	a.looks.widelyAfter = 0
	defer a.giveUp(ctx)
	_, err := a.pass(ctx)
	return err
}

// Interrupt leaves the lease as an adopter does that dies at work on the records.
func (a Adopter) Interrupt(ctx context.Context, records ...messaging.Record) error {
	var pairs []pair
	for _, record := range records {
		t, _ := newTwin(record)
		pairs = append(pairs, pair{t, t})
	}
	note, _ := workedOn(pairs)
	_, _, err := a.lease(ctx, &note)
	a.giveUp(ctx)
	return err
}

// WriteHistory writes records as the projection does.
func (s *Store) WriteHistory(ctx context.Context, records []messaging.Record, repeated bool) error {
	return s.writeHistory(ctx, records, repeated)
}

// Supersede removes what other epochs have of the records, as the projection does after it
// has written them.
func (s *Store) Supersede(ctx context.Context, records []messaging.Record) error {
	if len(records) == 0 {
		return nil
	}
	_, err := s.supersede(ctx, records)
	return err
}

// Older returns how many of the job's documents without a sequence a reader is shown,
// when the log has the records of tail beyond what is projected.
func (s *Store) Older(ctx context.Context, jobID string, tail func(each func(messaging.Record))) (int, error) {
	twins, err := s.doubled(ctx, jobID, func(_ context.Context, _ string, each func(messaging.Record)) error { tail(each); return nil })
	if err != nil {
		return 0, err
	}
	all, err := s.events.CountDocuments(ctx, bson.D{{Key: fieldJobID, Value: jobID}, {Key: fieldSequence, Value: nil}})
	return int(all) - len(twins), err
}

// WorkedOn returns how many jobs a pass notes, and how many of its pairs it then works
// on, when it has found one pair in each of so many jobs.
func WorkedOn(jobs int) (noted, pairs int) {
	var found []pair
	for n := range jobs {
		t := twin{key: twinKey{jobID: strconv.Itoa(n)}}
		found = append(found, pair{t, t})
	}
	note, found := workedOn(found)
	return len(note.Jobs), len(found)
}

// PauseAfter returns the adopter's pause after a pass.
var PauseAfter = pauseAfter

// Reach makes the adopter look at the newest page documents in each pass, at recent in the
// first one, and at so many others.
func (a Adopter) Reach(page, recent, due, sweep int) { a.reach = reach{page, recent, due, sweep} }

// Next makes the next pass, which looks for what is due, and gives the lease up.
func (a Adopter) Next(ctx context.Context) error {
	defer a.giveUp(ctx)
	_, err := a.pass(ctx)
	return err
}

// Released returns the _ids of the adopted documents of one record that are released, given
// all of them.
func Released(docs ...bson.Raw) (ids []bson.ObjectID) {
	m := newMatching(nil)
	for _, doc := range docs {
		m.add(doc)
	}
	m.endGroup()
	for _, t := range m.surplus.release {
		ids = append(ids, t.idValue().ObjectID())
	}
	return ids
}

// AgeIndexes makes the store ask for the indexes of novel_jobs again.
func (s *Store) AgeIndexes() {
	s.workers.mu.Lock()
	defer s.workers.mu.Unlock()
	s.workers.looked = s.workers.looked.Add(-indexAge)
}

// Omit notes a head that could not be written.
func (s *Store) Omit(ctx context.Context, record messaging.Record) error {
	return s.noteOmission(ctx, JobHeads, record)
}

// Restore tries an omitted head again.
func (s *Store) Restore(ctx context.Context, record messaging.Record) error {
	return s.restore(ctx, omission{projection: JobHeads, record: record})
}
