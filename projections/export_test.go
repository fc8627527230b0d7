package projections

import (
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
