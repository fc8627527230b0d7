package projections

import (
	"context"
	"strconv"
	"time"

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
	clear(a.looked)
	defer a.giveUp(ctx)
	return a.pass(ctx)
}

// Interrupt leaves the lease as an adopter does that dies at work on the records: the note
// has the times of the records and of the workers' documents that it took for them.
func (a Adopter) Interrupt(ctx context.Context, records ...messaging.Record) error {
	var pairs []pair
	for _, record := range records {
		t, _ := newTwin(record)
		pairs = append(pairs, pair{t, t})
		adopted := bson.D{
			{Key: fieldJobID, Value: record.JobID},
			{Key: fieldSequence, Value: int64(record.Sequence)},
			{Key: fieldLogStoredAt, Value: bson.D{{Key: "$exists", Value: true}}},
		}
		err := a.eachEvent(ctx, adopted, byJob, func(doc bson.Raw) bool {
			emitted, _ := time.Parse(time.RFC3339, timeText(doc.Lookup(fieldEmittedAt)))
			pairs = append(pairs, pair{twin{emitted: emitted}, t})
			return true
		})
		if err != nil {
			return err
		}
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

// Older returns how many of the job's documents without a sequence a reader is shown,
// when the log has the records of tail beyond what is projected.
func (s *Store) Older(ctx context.Context, jobID string, tail func(each func(messaging.Record))) (int, error) {
	twins, err := s.doubled(ctx, jobID, func(_ context.Context, _ string, each func(messaging.Record)) { tail(each) })
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
