package projections

import (
	"cmp"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
)

var errMalformed = errors.New("malformed document")

// decodeRecord returns the record of a document of novel_job_events. The body
// is the compacted envelope where the document has one, and otherwise an
// envelope written from the parsed fields, in their order.
// It returns [ErrIncomplete] for a document that has a sequence and not its
// event, and errMalformed for an older writer's that is no event.
func decodeRecord(doc bson.Raw) (messaging.Record, error) {
	record, err := readDocument(doc)
	switch {
	case err == nil:
		return record, nil
	case record.Sequence > 0:
		return messaging.Record{}, fmt.Errorf("sequence %d: %w: %w", record.Sequence, ErrIncomplete, err)
	default:
		return messaging.Record{}, err
	}
}

func readDocument(doc bson.Raw) (record messaging.Record, err error) {
	if err := doc.Validate(); err != nil {
		return record, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if sequence, ok := doc.Lookup(fieldSequence).AsInt64OK(); ok && sequence > 0 {
		record.Sequence = uint64(sequence)
		record.Epoch = text(doc, fieldEpoch)
	}
	record.JobID = text(doc, fieldJobID)
	record.Kind = messaging.Kind(text(doc, fieldKind))
	record.ID = text(doc, fieldEventID)
	record.TraceParent = text(doc, fieldTraceParent)
	record.EmittedAt = timeText(doc.Lookup(fieldEmittedAt))
	record.StoredAt = madeAt(doc)
	if stored, ok := doc.Lookup(fieldLogStoredAt).TimeOK(); ok { // adopted
		record.StoredAt = stored.UTC()
		record.EmittedAt = cmp.Or(text(doc, fieldLogEmittedAt), record.EmittedAt)
	}
	switch {
	case record.JobID == "" || record.Kind == "" || record.EmittedAt == "":
		return record, fmt.Errorf("%w: no %s, %s or %s", errMalformed, fieldJobID, fieldKind, fieldEmittedAt)
	case doc.Lookup(fieldOmitted).Type == bson.TypeBoolean:
		return record, fmt.Errorf("%w: the event was refused", errMalformed)
	}
	if raw := text(doc, fieldRaw); raw != "" && record.Sequence > 0 {
		record.Body = []byte(raw)
		return record, nil
	}
	if !hasBody(record.Kind, doc) {
		return record, fmt.Errorf("%w: no body of the kind %q", errMalformed, record.Kind)
	}
	record.Body, err = appendEnvelope(nil, record, doc)
	return record, err
}

// hasBody reports whether the document has the fields that its kind requires, if it is a
// built-in one. This package has no list of the fields of other kinds.
func hasBody(kind messaging.Kind, doc bson.Raw) bool {
	switch kind {
	case messaging.KindGeneration, messaging.KindDomain:
		return doc.Lookup("event").Type == bson.TypeEmbeddedDocument
	case messaging.KindJobStatus:
		return text(doc, fieldStatus) != ""
	}
	return true
}

func appendEnvelope(dst []byte, record messaging.Record, doc bson.Raw) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	dst = append(dst, fmt.Sprintf(`{"version":%d,"kind":`, messaging.Version)...)
	dst = appendString(dst, string(record.Kind))
	dst = appendString(append(dst, `,"jobId":`...), record.JobID)
	if record.ID != "" {
		dst = appendString(append(dst, `,"id":`...), record.ID)
	}
	if record.TraceParent != "" {
		dst = appendString(append(dst, `,"traceparent":`...), record.TraceParent)
	}
	for _, element := range elements {
		if name := element.Key(); !reserved(name) {
			if dst, err = appendMember(append(dst, ','), name, element.Value()); err != nil {
				return nil, fmt.Errorf("%w: %w", errMalformed, err)
			}
		}
	}
	return append(dst, '}'), nil
}

// text returns a field that is a string, and "" for any other.
func text(doc bson.Raw, name string) string {
	value, _ := doc.Lookup(name).StringValueOK()
	return value
}

// timeText returns a time, which may be stored as a date or as a string, as text.
func timeText(value bson.RawValue) string {
	if at, ok := value.TimeOK(); ok {
		return messaging.FormatTime(at)
	}
	text, _ := value.StringValueOK()
	return text
}
