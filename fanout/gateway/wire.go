package gateway

import (
	"sync/atomic"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// Encoder encodes events for Socket.IO and for event streams. It has no state.
type Encoder struct {
	// Offsets adds to each Socket.IO event the offset that connection state
	// recovery needs.
	Offsets bool
	// Deflate compresses events for the sockets that decompress them.
	Deflate bool
}

// wireForms is an event encoded once for all receivers, except for sockets that follow
// several jobs: these share a packet while their offsets are equal (see packetWith). It is
// immutable except for the forms that are created on demand, and may be shared between
// goroutines.
type wireForms struct {
	event *hub.Event
	// packet is the Engine.IO packet with the payload for the default namespace:
	// 42["name",payload,"offset"]. The offset is that of a socket with this one
	// subscription. Without connection state recovery, and for an event that is not in the
	// log, there is no offset.
	packet []byte
	// key is the name of the job in offsets; empty without an offset.
	key string

	// traced has the forms with the event's trace context; see withTrace.
	traced atomic.Pointer[wireForms]

	stream atomic.Pointer[[]byte]
	plain  atomic.Pointer[[]byte] // see plainPacket
	// shared has the first packets with an offset of several jobs, until settled is set.
	shared  [sharedPackets]atomic.Pointer[offsetPacket]
	settled atomic.Bool
	// common is the length of the beginning that all packets of the event share, if they are
	// compressed for sockets that decompress them; 0 if they are not.
	common   uint32
	deflated atomic.Pointer[deflatedForms]
}

// sharedPackets bounds the packets that an event keeps while it is delivered.
const sharedPackets = 4

// offsetPacket is an event's packet with an offset, which is its last argument.
type offsetPacket struct {
	argument string
	packet   []byte
}

// Encode implements hub.Encoder. With offsets, clients can recover from an event that is in
// the log: see [offset].
func (e Encoder) Encode(ev *hub.Event) hub.Wire { return e.encode(ev) }

func (e Encoder) encode(ev *hub.Event) *wireForms {
	if !e.Offsets || ev.Sequence == 0 {
		encoded := &wireForms{event: ev, packet: socketio.EncodeEvent(ev.Name, ev.Payload)}
		encoded.deflateFrom(e.Deflate, 0)
		return encoded
	}
	encoded := &wireForms{event: ev, key: jobKey(ev.JobID)}
	marks := [1]mark{{key: encoded.key, sequence: ev.Sequence}}
	var room [offsetRoom]byte
	argument := append(offset{epoch: ev.Epoch, marks: marks[:]}.append(append(room[:0], '"')), '"')
	encoded.packet = socketio.EncodeEvent(ev.Name, ev.Payload, argument)
	encoded.deflateFrom(e.Deflate, len(",")+len(argument))
	return encoded
}

// formsOf returns the forms that [Encoder.Encode] has created for an event.
func formsOf(ev *hub.Event) *wireForms { return ev.Wire.(*wireForms) }

// Size implements hub.Wire.
func (w *wireForms) Size() int { return len(w.packet) }

// Forms implements hub.Wire: the packet, and the stream's block or the packet without an
// offset. With compression, these packets have compressed forms.
func (w *wireForms) Forms() int {
	if w.common > 0 {
		return 4
	}
	return 2
}

// offsetRoom is the length of an offset of one or two jobs, in bytes.
const offsetRoom = 128

// withTrace returns the forms for clients that ask for traces. They are created once for all
// of these, and are w itself for an event without a trace context.
func (w *wireForms) withTrace() *wireForms {
	ev := w.event
	if ev.TraceParent == "" {
		return w
	}
	if forms := w.traced.Load(); forms != nil {
		return forms
	}
	forms := Encoder{Offsets: w.key != "", Deflate: w.common > 0}.encode(&hub.Event{
		JobID: ev.JobID, Sequence: ev.Sequence, Epoch: ev.Epoch, Name: ev.Name, Payload: withTraceParent(ev.Payload, ev.TraceParent),
	})
	if !w.traced.CompareAndSwap(nil, forms) {
		return w.traced.Load()
	}
	if w.settled.Load() { // otherwise Settle finds the forms
		forms.Settle()
	}
	return forms
}

// Settle implements hub.Wire.
func (w *wireForms) Settle() {
	w.settled.Store(true)
	for i := range w.shared {
		w.shared[i].Store(nil)
	}
	if deflated := w.deflated.Load(); deflated != nil {
		deflated.settle()
	}
	if traced := w.traced.Load(); traced != nil {
		traced.Settle()
	}
}

// packetWith returns the event's packet with an offset. Until the event is settled, the
// first packets are kept for other sockets with the same offset, because sockets that
// follow the same jobs usually have the same positions.
func (w *wireForms) packetWith(o offset) []byte {
	var room [offsetRoom]byte         // on the stack, enough for a few jobs
	argument := append(room[:0], '"') // nothing in an offset needs escaping
	if size := 2 + o.size(); size > len(room) {
		argument = append(make([]byte, 0, size), '"')
	}
	argument = append(o.append(argument), '"')
	i := 0
	for ; i < len(w.shared); i++ {
		made := w.shared[i].Load()
		if made == nil {
			break
		}
		if made.argument == string(argument) {
			return made.packet
		}
	}
	packet := socketio.EncodeEvent(w.event.Name, w.event.Payload, argument)
	if i < len(w.shared) && !w.settled.Load() {
		w.shared[i].CompareAndSwap(nil, &offsetPacket{argument: string(argument), packet: packet})
	}
	return packet
}

// plainPacket returns the event's packet without an offset, for clients that do not want
// one. It is created once for all of them.
func (w *wireForms) plainPacket() []byte {
	if w.key == "" {
		return w.packet
	}
	if packet := w.plain.Load(); packet != nil {
		return *packet
	}
	packet := socketio.EncodeEvent(w.event.Name, w.event.Payload)
	w.plain.Store(&packet)
	return packet
}

// streamed returns the event as one block of a text/event-stream.
func (w *wireForms) streamed() []byte {
	if block := w.stream.Load(); block != nil {
		return *block
	}
	block := streamBlock(w.event.Name, messaging.Position{Epoch: w.event.Epoch, Sequence: w.event.Sequence}, w.event.Payload)
	w.stream.Store(&block)
	return block
}

// streamBlock returns an event, or a control message at the zero position, as one block
// of a text/event-stream (HTML Living Standard, section 9.2.6):
//
//	event: novel.domain-event\n
//	id: 5f0c…:17\n
//	data: {…}\n
//	\n
//
// The id is the event's position. An event without a complete position has no id line, so
// that a client's Last-Event-ID remains that of the last event with one: a bare sequence is
// valid only in the current epoch of the log, and a client may resume in any.
func streamBlock(name string, at messaging.Position, payload []byte) []byte {
	block := make([]byte, 0, len(name)+len(at.Epoch)+len(payload)+48)
	block = append(append(block, "event: "...), name...)
	if at.Sequence > 0 && at.Epoch != "" {
		block = at.Append(append(block, "\nid: "...))
	}
	block = append(append(block, "\ndata: "...), escapeSeparators(payload)...)
	return append(block, "\n\n"...)
}
