package fanout

import (
	"strconv"
	"sync/atomic"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// event is one record, encoded once for everybody who gets it. It is immutable
// but for the lazily made SSE form, and may be shared between goroutines.
type event struct {
	sequence uint64
	name     string
	// payload is what the client receives, one line of JSON.
	payload []byte
	// packet is the Engine.IO packet that carries payload to the default
	// namespace: 42["name",payload]
	packet []byte

	stream atomic.Pointer[[]byte]
}

// newEvent encodes a record. A record of a kind that the catalogue does not
// (or no longer) know cannot be shown to a client; its error is
// messaging.ErrUnknownKind.
func newEvent(catalogue *messaging.Catalogue, record messaging.Record) (*event, error) {
	payload, err := catalogue.AppendPayload(make([]byte, 0, len(record.Body)+128), record)
	if err != nil {
		return nil, err
	}
	name, _ := catalogue.SocketEvent(record.Kind)
	return encodeEvent(record.Sequence, name, payload), nil
}

func encodeEvent(sequence uint64, name string, payload []byte) *event {
	return &event{sequence: sequence, name: name, payload: payload, packet: socketio.EncodeEvent(name, payload)}
}

// size is the memory that the event holds, in bytes, roughly.
func (e *event) size() int { return 2*len(e.packet) + 96 }

// streamed returns the event as one block of a text/event-stream (HTML Living
// Standard, section 9.2.6):
//
//	event: novel.domain-event\n
//	id: 17\n
//	data: {…}\n
//	\n
//
// An event without a sequence has no id line, so that a client's Last-Event-ID
// stays on the last event that has one.
func (e *event) streamed() []byte {
	if block := e.stream.Load(); block != nil {
		return *block
	}
	block := make([]byte, 0, len(e.name)+len(e.payload)+48)
	block = append(append(block, "event: "...), e.name...)
	if e.sequence > 0 {
		block = strconv.AppendUint(append(block, "\nid: "...), e.sequence, 10)
	}
	block = append(append(block, "\ndata: "...), e.payload...)
	block = append(block, "\n\n"...)
	e.stream.Store(&block)
	return block
}
