package messaging

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrInvalidBody is returned for a record whose body is not one JSON object in
// UTF-8, and so was not accepted by [Catalogue.Decode]. A retry does not help.
var ErrInvalidBody = errors.New("invalid record body")

// AppendPayload appends what a client gets of a record, as one line of JSON:
//
//	{"jobId":…,"emittedAt":…,<the kind's fields>,"sequence":…,"id":…}
//
// The kind's fields come in the catalogue's order with the values of the body,
// null where it has none. The sequence is left out when it is zero, the id when
// it is empty. The result is valid UTF-8 without a line break, so that it fits a
// WebSocket text frame and a line of an SSE stream alike.
//
// The error wraps [ErrUnknownKind] or [ErrInvalidBody]; dst comes back unchanged
// then.
func (c *Catalogue) AppendPayload(dst []byte, r Record) ([]byte, error) {
	entry, ok := c.now().entries[r.Kind]
	if !ok {
		return dst, fmt.Errorf("payload of kind %q: %w", r.Kind, ErrUnknownKind)
	}
	return entry.append(dst, `{"jobId":`, r)
}

// AppendItem appends what the REST API returns of a record: the payload of
// [Catalogue.AppendPayload] with the kind before everything else.
func (c *Catalogue) AppendItem(dst []byte, r Record) ([]byte, error) {
	entry, ok := c.now().entries[r.Kind]
	if !ok {
		return dst, fmt.Errorf("item of kind %q: %w", r.Kind, ErrUnknownKind)
	}
	return entry.append(dst, entry.itemHead, r)
}

// append appends head, which ends where the jobId begins, and the rest.
func (e *entry) append(dst []byte, head string, r Record) ([]byte, error) {
	var room [8]bodyValue
	values, err := e.values(room[:0], r.Body)
	if err != nil {
		return dst, fmt.Errorf("%w: kind %q, sequence %d: %w", ErrInvalidBody, e.kind, r.Sequence, err)
	}
	dst = append(dst, head...)
	dst = appendText(dst, r.JobID)
	dst = append(dst, `,"emittedAt":`...)
	dst = appendText(dst, r.EmittedAt)
	for i, field := range e.payload {
		dst = append(dst, field.lead...)
		switch value := values[i]; {
		case value.text == nil:
			dst = append(dst, "null"...)
		case value.spaced:
			dst = appendCompact(dst, value.text)
		default:
			dst = append(dst, value.text...)
		}
	}
	if r.Sequence > 0 {
		dst = append(dst, `,"sequence":`...)
		dst = strconv.AppendUint(dst, r.Sequence, 10)
	}
	if r.ID != "" {
		dst = append(dst, `,"id":`...)
		dst = appendText(dst, r.ID)
	}
	return append(dst, '}'), nil
}

// bodyValue is the value of one payload field as it stands in the body; its text
// is nil where the body has no such field.
type bodyValue struct {
	text   []byte
	spaced bool
}

// values appends one value for each of the payload's fields to dst.
func (e *entry) values(dst []bodyValue, body []byte) ([]bodyValue, error) {
	for range e.payload {
		dst = append(dst, bodyValue{})
	}
	if !utf8.Valid(body) {
		return nil, errors.New("it is not UTF-8")
	}
	reader := objectReader{data: body}
	for key, value, ok := reader.next(); ok; key, value, ok = reader.next() {
		name := plainKey(key)
		for i, field := range e.payload {
			if string(name) == field.name {
				dst[i] = bodyValue{text: value, spaced: reader.spaced}
			}
		}
	}
	if offset, bad := reader.bad(); bad {
		return nil, fmt.Errorf("it is not one JSON object: byte %d of %d", offset, len(body))
	}
	return dst, nil
}
