package hub

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/letswriteabook/realtime/messaging"
)

// Encoder makes the form in which an event goes over the wire.
type Encoder interface {
	// Encode returns it for an event that is complete but for its Wire. It may be
	// called concurrently.
	Encode(ev *Event) Wire
}

// Wire is an event in the form that its [Encoder] made. It may be shared between
// goroutines.
type Wire interface {
	// Size is the length of the event as it is sent to a client, in bytes.
	Size() int
}

// Event is one record, encoded once for everybody who gets it. It is immutable, and
// may be shared between goroutines.
type Event struct {
	// JobID is the job of the record.
	JobID string
	// Sequence is 0 for an event that is not in the log.
	Sequence uint64
	// Epoch is the life of the log that the sequence counts in, empty without a
	// sequence.
	Epoch string
	// Name is the name of the event on a socket.
	Name string
	// Payload is what the client receives, one line of JSON.
	Payload []byte
	// Wire is what the encoder made of the event.
	Wire Wire

	kind messaging.Kind // empty for what is no record and no document
	// young is set for a document without a sequence that was made lately.
	young bool
	// contentKey is made when it is asked for, see content.
	contentKey atomic.Pointer[messaging.ContentKey]
}

// NewEvent encodes a record. A record of a kind that the catalogue does not
// (or no longer) know cannot be shown to a client; its error is
// messaging.ErrUnknownKind.
func NewEvent(catalogue *messaging.Catalogue, encoder Encoder, record messaging.Record) (*Event, error) {
	payload, err := catalogue.AppendPayload(make([]byte, 0, len(record.Body)+128), record)
	if err != nil {
		return nil, err
	}
	name, _ := catalogue.SocketEvent(record.Kind)
	ev := &Event{JobID: record.JobID, Sequence: record.Sequence, Name: name, Payload: payload, kind: record.Kind}
	if record.Sequence > 0 {
		ev.Epoch = record.Epoch
	}
	ev.Wire = encoder.Encode(ev)
	return ev, nil
}

// content returns the key of what the event says. It is made once for all who ask. It
// reports false when there is none.
func (e *Event) content() (messaging.ContentKey, bool) {
	if key := e.contentKey.Load(); key != nil {
		return *key, true
	}
	if e.kind == "" {
		return messaging.ContentKey{}, false
	}
	// The payload has the members of the envelope that the key is made of. A document
	// has no sequence; in a string the quotes would be escaped.
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

// size is the memory that the event holds, in bytes, roughly.
func (e *Event) size() int { return 3*e.Wire.Size() + 96 }
