package projections

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

// The names in documents that do not come from the envelope's body.
const (
	fieldID        = "_id"
	fieldJobID     = "jobId"
	fieldKind      = "kind"
	fieldEmittedAt = "emittedAt"
	fieldSequence  = "sequence"
	fieldEpoch     = "epoch"
	fieldEventID   = "eventId"
	// fieldTraceParent is there when the publisher was traced.
	fieldTraceParent = "traceparent"
	fieldCreatedAt   = "createdAt"
	fieldUpdatedAt   = "updatedAt"
	// fieldRaw holds the compacted envelope where the parsed fields do not
	// give it back exactly.
	fieldRaw = "raw"
	// fieldOmitted is true in a document without its event's body.
	fieldOmitted = "omitted"

	fieldStatus   = "status"
	fieldSnapshot = "snapshot"
)

// reserved reports whether a top-level name of a document is this package's
// own, or one that another writer's library adds, and so no part of the body.
func reserved(name string) bool {
	switch name {
	case fieldID, "__v", "version", "id", fieldJobID, fieldKind, fieldEmittedAt, fieldSequence,
		fieldEpoch, fieldEventID, fieldTraceParent, fieldCreatedAt, fieldUpdatedAt, fieldRaw, fieldOmitted,
		fieldLogStoredAt, fieldLogEmittedAt:
		return true
	}
	return false
}

// restated reports whether a top-level name of an envelope has a counterpart in the
// record, from which it is written.
func restated(name string) bool {
	switch name {
	case "version", "id", fieldJobID, fieldKind, fieldEmittedAt, fieldTraceParent:
		return true
	}
	return false
}

// shape is how much of its event a document has. A document that MongoDB refuses in one
// shape is written in the next.
type shape int

const (
	// shapeFull: the parsed fields, and raw where they are not exact.
	shapeFull shape = iota
	// shapeRaw: raw, and of the parsed fields those that hold no others.
	shapeRaw
	// shapeBare: neither; marked as omitted.
	shapeBare
	shapes
)

// event is a record with its parsed body, from which a document of any shape is made.
type event struct {
	messaging.Record
	fields bson.D // the body's parsed fields, in their order
	exact  bool   // the fields give the body back
	raw    string // the compacted envelope; empty when it is not JSON in UTF-8
}

func newEvent(record messaging.Record) event {
	e := event{Record: record}
	var compact bytes.Buffer
	compact.Grow(len(record.Body))
	if err := json.Compact(&compact, record.Body); err != nil || !utf8.Valid(compact.Bytes()) {
		return e
	}
	e.raw = compact.String()
	e.fields, e.exact = parseEnvelope(compact.Bytes())
	return e
}

// parseEnvelope returns the fields of a compacted envelope that make up its
// body, and whether they give the body back byte for byte.
func parseEnvelope(envelope []byte) (fields bson.D, exact bool) {
	tokens := json.NewDecoder(bytes.NewReader(envelope))
	if opening, err := tokens.Token(); err != nil || opening != json.Delim('{') {
		return nil, false
	}
	exact = true
	seen := make(map[string]int) // index in fields, or -1
	for tokens.More() {
		token, err := tokens.Token()
		if err != nil {
			return nil, false
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := tokens.Decode(&value); err != nil {
			return nil, false
		}

		earlier, repeated := seen[name]
		seen[name] = -1
		if repeated {
			exact = false
		}
		if restated(name) {
			continue
		}
		// MongoDB gives meaning to $ and . at the top level, and NUL ends names.
		if reserved(name) || strings.HasPrefix(name, "$") || strings.ContainsAny(name, ".\x00") {
			exact = false
			continue
		}
		decoded, err := decodeJSON(value)
		if err != nil {
			exact = false
			continue
		}
		if exact && encodesTo(decoded, value) != nil {
			exact = false
		}
		if plain, changed := plainValue(decoded); changed {
			decoded, exact = plain, false
		}
		if repeated && earlier >= 0 { // the last one counts, as in JavaScript
			fields[earlier].Value = decoded
			seen[name] = earlier
			continue
		}
		seen[name] = len(fields)
		fields = append(fields, bson.E{Key: name, Value: decoded})
	}
	return fields, exact
}

// plainValue returns a value without repeated names in an object, of which the last one
// counts, and without negative zeros: some servers close the connection on either. changed
// reports whether there were any.
func plainValue(value any) (plain any, changed bool) {
	switch value := value.(type) {
	case float64:
		if value == 0 && math.Signbit(value) {
			return 0.0, true
		}
	case bson.A:
		for i := range value {
			element, other := plainValue(value[i])
			value[i], changed = element, changed || other
		}
	case bson.D:
		kept := value[:0]
		index := make(map[string]int, len(value))
		for _, member := range value {
			var other bool
			member.Value, other = plainValue(member.Value)
			changed = changed || other
			if earlier, repeated := index[member.Key]; repeated {
				kept[earlier].Value, changed = member.Value, true
				continue
			}
			index[member.Key] = len(kept)
			kept = append(kept, member)
		}
		return kept, changed
	}
	return value, changed
}

// document returns the event's document in novel_job_events. It depends on the record
// and the shape alone: its times are those of the log.
func (e event) document(s shape) bson.D {
	doc := bson.D{
		{Key: fieldID, Value: e.Position.String()},
		{Key: fieldJobID, Value: e.JobID},
		{Key: fieldKind, Value: string(e.Kind)},
		{Key: fieldEmittedAt, Value: e.EmittedAt},
	}
	doc = append(doc, e.content(s)...)
	doc = append(doc,
		bson.E{Key: fieldSequence, Value: int64(e.Sequence)},
		bson.E{Key: fieldEpoch, Value: e.Epoch},
	)
	if e.ID != "" {
		doc = append(doc, bson.E{Key: fieldEventID, Value: e.ID})
	}
	if e.TraceParent != "" {
		doc = append(doc, bson.E{Key: fieldTraceParent, Value: e.TraceParent})
	}
	return append(doc,
		bson.E{Key: fieldCreatedAt, Value: bson.NewDateTimeFromTime(e.StoredAt)},
		bson.E{Key: fieldUpdatedAt, Value: bson.NewDateTimeFromTime(e.StoredAt)},
	)
}

func (e event) content(s shape) bson.D {
	switch {
	case e.raw == "" || s == shapeBare:
		return bson.D{{Key: fieldOmitted, Value: true}}
	case s == shapeFull && e.exact:
		return e.fields
	case s == shapeFull:
		return append(e.fields[:len(e.fields):len(e.fields)], bson.E{Key: fieldRaw, Value: e.raw})
	}
	var scalars bson.D
	for _, field := range e.fields {
		switch field.Value.(type) {
		case bson.D, bson.A, float64: // a double may be an infinity
		default:
			scalars = append(scalars, field)
		}
	}
	return append(scalars, bson.E{Key: fieldRaw, Value: e.raw})
}
