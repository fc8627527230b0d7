package hub

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Encoder encodes events in the form in which they are sent.
type Encoder interface {
	// Encode returns the form of an event that is complete except for its Wire. It may
	// be called concurrently.
	Encode(ev *Event) Wire
}

// Wire is an event in the form that its [Encoder] made. It may be shared between
// goroutines.
type Wire interface {
	// Size is the length of the event as it is sent to a client, in bytes.
	Size() int
	// Forms is how many forms of about that size, or less, the event may have, its payload
	// not counted.
	Forms() int
	// Settle is called once the event was handed to all live subscriptions of its job: forms
	// that were made for some of the clients need not be kept for others.
	Settle()
}

// Event is one record, with its payload and the wire form that all clients share. It is
// immutable, and may be shared between goroutines.
type Event struct {
	// JobID is the job of the record.
	JobID string
	// Sequence is 0 for an event that is not in the log.
	Sequence uint64
	// Epoch is the epoch of the sequence, empty without a sequence.
	Epoch string
	// Name is the name of the event on a socket.
	Name string
	// Payload is what the client receives, one line of JSON.
	Payload []byte
	// TraceParent is the W3C trace context of the event, empty without one. It is no part of
	// the payload.
	TraceParent string
	// Wire is what the encoder made of the event.
	Wire Wire

	kind messaging.Kind // empty for a replay
	// emittedAt is the record's, zero if it is in one of the spellings of RFC 3339 that
	// package time does not read. storedAt is when the log took it. Both are zero for a replay.
	emittedAt, storedAt time.Time
	// young is set for a recent document without a sequence.
	young bool
	// contentKey is made at the first call of content.
	contentKey atomic.Pointer[messaging.ContentKey]
}

// NewEvent encodes a record. It returns messaging.ErrUnknownKind for a kind that the
// catalogue does not have: such a record cannot be shown to a client.
func NewEvent(catalogue *messaging.Catalogue, encoder Encoder, record messaging.Record) (*Event, error) {
	payload, err := catalogue.AppendPayload(make([]byte, 0, len(record.Body)+128), record)
	if err != nil {
		return nil, err
	}
	name, _ := catalogue.SocketEvent(record.Kind)
	ev := &Event{JobID: record.JobID, Sequence: record.Sequence, Name: name, Payload: payload, TraceParent: record.TraceParent, kind: record.Kind, emittedAt: emittedTime(record), storedAt: record.StoredAt}
	if record.Sequence > 0 {
		ev.Epoch = record.Epoch
	}
	ev.Wire = encoder.Encode(ev)
	return ev, nil
}

// content returns the key of the event's content, which it makes once. It reports false
// for an event without one.
func (e *Event) content() (messaging.ContentKey, bool) {
	if key := e.contentKey.Load(); key != nil {
		return *key, true
	}
	if e.kind == "" {
		return messaging.ContentKey{}, false
	}
	// The payload has the members of the envelope that the key is made of. The sequence is
	// left out, because a document has none. The match is no part of a string: there the
	// quotes would be escaped.
	payload := e.Payload
	if member := fmt.Appendf(nil, `,"sequence":%d`, e.Sequence); e.Sequence > 0 {
		if i := bytes.LastIndex(payload, member); i >= 0 {
			payload = slices.Concat(payload[:i], payload[i+len(member):])
		}
	}
	key, err := messaging.KeyOfContent(e.kind, payload)
	if err != nil {
		return messaging.ContentKey{}, false
	}
	e.contentKey.Store(&key)
	return key, true
}

// size returns about how many bytes of memory the event holds. One with a trace context may
// have each form a second time, for clients that want the context.
func (e *Event) size() int {
	forms := 1 + e.Wire.Forms()
	if e.TraceParent != "" {
		forms *= 2
	}
	return forms*e.Wire.Size() + 96
}
