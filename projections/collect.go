package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrCollection is returned by [Store.Collect] for a name that is the service's own
// or MongoDB's, or that MongoDB does not take. A retry does not help.
var ErrCollection = errors.New("invalid name of a collection")

// maxCollectionBytes is what MongoDB leaves of 255 bytes beside a long name of a
// database.
const maxCollectionBytes = 190

// CheckCollection reports whether [Store.Collect] takes a name.
func CheckCollection(name string) error {
	switch {
	case name == "" || len(name) > maxCollectionBytes || strings.ContainsAny(name, "$\x00"):
		return fmt.Errorf("%w %q: want 1 to %d bytes without $", ErrCollection, name, maxCollectionBytes)
	case strings.HasPrefix(name, "novel_") || strings.HasPrefix(name, "system."):
		return fmt.Errorf("%w %q: those that begin with novel_ or system. are the service's or MongoDB's", ErrCollection, name)
	}
	return nil
}

// Collect returns a function that inserts records into a collection of the caller's,
// as documents of novel_job_events. One that is there already is left as it is, so
// that a repeat is harmless. A collection that has documents of another form is
// refused with [ErrCollection].
func (s *Store) Collect(ctx context.Context, name string) (func(ctx context.Context, records []messaging.Record) error, error) {
	if err := CheckCollection(name); err != nil {
		return nil, err
	}
	collector := *s
	collector.retries = nil
	collector.events = s.events.Database().Collection(name, sure())
	foreign := bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$exists", Value: false}}}}
	err := s.read(ctx, name, func(ctx context.Context) error { return collector.events.FindOne(ctx, foreign).Err() })
	switch {
	case err == nil:
		return nil, fmt.Errorf("%w %q: it has documents of another form", ErrCollection, name)
	case !errors.Is(err, mongo.ErrNoDocuments):
		return nil, err
	}
	return func(ctx context.Context, records []messaging.Record) error {
		return collector.writeHistory(ctx, records, false)
	}, nil
}
