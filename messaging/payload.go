package messaging

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrInvalidBody is returned for a record whose body is not one JSON object in
// UTF-8, which [Catalogue.Decode] refuses. A retry does not help.
var ErrInvalidBody = errors.New("invalid record body")

// AppendPayload appends the payload of a record that clients receive, as one line of
// JSON:
//
//	{"jobId":…,"emittedAt":…,<the kind's fields>,"sequence":…,"id":…}
//
// The kind's fields have the order of the catalogue and the values of the body, null
// if the body has none. A sequence of zero and an empty id are left out. The result
// is valid UTF-8 without a line break, so that it fits into a WebSocket text frame
// and into a line of an SSE stream.
//
// The error wraps [ErrUnknownKind] or [ErrInvalidBody]; AppendPayload then returns dst
// unchanged.
func (c *Catalogue) AppendPayload(dst []byte, r Record) ([]byte, error) {
	entry, ok := c.now().entries[r.Kind]
	if !ok {
		return dst, fmt.Errorf("payload of kind %q: %w", r.Kind, ErrUnknownKind)
	}
	return entry.append(dst, `{"jobId":`, r)
}

// AppendItem appends a record as the REST API returns it: the payload of
// [Catalogue.AppendPayload] with the kind as its first field.
func (c *Catalogue) AppendItem(dst []byte, r Record) ([]byte, error) {
	entry, ok := c.now().entries[r.Kind]
	if !ok {
		return dst, fmt.Errorf("item of kind %q: %w", r.Kind, ErrUnknownKind)
	}
	return entry.append(dst, entry.itemHead, r)
}

// append appends head, which ends before the value of the jobId, and the rest of the
// payload.
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

// bodyValue is the JSON value of a payload field in the body. Its text is nil if the
// body does not have the field.
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
