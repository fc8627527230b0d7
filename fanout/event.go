package fanout

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// event is one record, encoded once for everybody who gets it, but for the offset of
// a socket that follows several jobs ([event.packetWith]). It is immutable
// but for the lazily made SSE form, and may be shared between goroutines.
type event struct {
	sequence uint64
	kind     messaging.Kind // empty for what is no record and no document
	// young is set for a document without a sequence that was made lately.
	young bool
	name  string
	// payload is what the client receives, one line of JSON.
	payload []byte
	// packet is the Engine.IO packet that carries payload to the default
	// namespace: 42["name",payload,"offset"]. The offset is that of a socket
	// with this one subscription; without connection state recovery, and for an
	// event that is not in the log, there is none.
	packet []byte
	// epoch is the life of the log that the sequence counts in, empty without a
	// sequence; key is the offset's, empty without one.
	epoch, key string

	stream atomic.Pointer[[]byte]
	plain  atomic.Pointer[[]byte] // see plainPacket
	// contentKey is made when it is asked for, see content.
	contentKey atomic.Pointer[messaging.ContentKey]
}

// newEvent encodes a record. A record of a kind that the catalogue does not
// (or no longer) know cannot be shown to a client; its error is
// messaging.ErrUnknownKind.
//
// With offsets, it can be recovered from: see [offset].
func newEvent(catalogue *messaging.Catalogue, record messaging.Record, offsets bool) (*event, error) {
	payload, err := catalogue.AppendPayload(make([]byte, 0, len(record.Body)+128), record)
	if err != nil {
		return nil, err
	}
	name, _ := catalogue.SocketEvent(record.Kind)
	if !offsets || record.Sequence == 0 {
		ev := encodeEvent(record.Sequence, name, payload)
		ev.kind = record.Kind
		if record.Sequence > 0 {
			ev.epoch = record.Epoch
		}
		return ev, nil
	}
	ev := &event{sequence: record.Sequence, kind: record.Kind, name: name, payload: payload, epoch: record.Epoch, key: jobKey(record.JobID)}
	marks := [1]mark{{key: ev.key, sequence: ev.sequence}}
	ev.packet = ev.packetWith(offset{epoch: ev.epoch, marks: marks[:]})
	return ev, nil
}

func encodeEvent(sequence uint64, name string, payload []byte) *event {
	return &event{sequence: sequence, name: name, payload: payload, packet: socketio.EncodeEvent(name, payload)}
}

// packetWith returns the event's packet with an offset.
func (e *event) packetWith(o offset) []byte {
	argument := make([]byte, 1, 2+o.size())
	argument[0] = '"' // nothing in an offset needs escaping
	return socketio.EncodeEvent(e.name, e.payload, append(o.append(argument), '"'))
}

// plainPacket returns the event's packet without an offset, for clients that do not
// want one. It is made once for all of them.
func (e *event) plainPacket() []byte {
	if e.key == "" {
		return e.packet
	}
	if packet := e.plain.Load(); packet != nil {
		return *packet
	}
	packet := socketio.EncodeEvent(e.name, e.payload)
	e.plain.Store(&packet)
	return packet
}

// content returns the key of what the event says. It is made once for all who ask. It
// reports false when there is none.
func (e *event) content() (messaging.ContentKey, bool) {
	if key := e.contentKey.Load(); key != nil {
		return *key, true
	}
	if e.kind == "" {
		return messaging.ContentKey{}, false
	}
	// The payload has the members of the envelope that the key is made of. A document
	// has no sequence; in a string the quotes would be escaped.
	payload := e.payload
	if member := fmt.Appendf(nil, `,"sequence":%d`, e.sequence); e.sequence > 0 {
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
func (e *event) size() int { return 3*len(e.packet) + 96 }

// streamed returns the event as one block of a text/event-stream (HTML Living
// Standard, section 9.2.6):
//
//	event: novel.domain-event\n
//	id: 5f0c…:17\n
//	data: {…}\n
//	\n
//
// The id is the event's position. An event without a sequence has no id line, so
// that a client's Last-Event-ID stays on the last event that has one.
func (e *event) streamed() []byte {
	if block := e.stream.Load(); block != nil {
		return *block
	}
	block := make([]byte, 0, len(e.name)+len(e.epoch)+len(e.payload)+48)
	block = append(append(block, "event: "...), e.name...)
	switch {
	case e.sequence > 0 && e.epoch != "":
		block = messaging.Position{Epoch: e.epoch, Sequence: e.sequence}.Append(append(block, "\nid: "...))
	case e.sequence > 0:
		block = strconv.AppendUint(append(block, "\nid: "...), e.sequence, 10)
	}
	block = append(append(block, "\ndata: "...), escapeSeparators(e.payload)...)
	block = append(block, "\n\n"...)
	e.stream.Store(&block)
	return block
}
