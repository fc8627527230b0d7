package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// deflateBytes is the size from which on an event is compressed for sockets.
const deflateBytes = 1 << 10

// deflatedForms are the compressed forms of an event's packets. Only the beginning that all
// of them share is compressed, once; what follows it, an offset, is appended without
// compression.
type deflatedForms struct {
	once sync.Once
	// frame is the form of wireForms.packet, and the first bytes of it, beginning, are those
	// of all forms. Both are empty if the event does not become smaller.
	frame     socketio.Frame
	beginning []byte
	// others has forms of other packets, until the event is settled: of the packet without
	// an offset and of those that sockets share.
	others [1 + sharedPackets]atomic.Pointer[deflatedPacket]
}

// deflatedPacket is the compressed form of a packet.
type deflatedPacket struct {
	packet *byte // its first byte, by which it is recognised
	frame  socketio.Frame
}

// deflateFrom sets common, given the size of the arguments after the payload.
func (w *wireForms) deflateFrom(enabled bool, arguments int) {
	if enabled && len(w.packet) >= deflateBytes {
		w.common = uint32(len(w.packet) - len("]") - arguments) // #nosec G115 -- an event is far smaller
	}
}

// deflate returns the compressed form of one of the event's packets. It returns false if
// the event does not become smaller.
func (w *wireForms) deflate(packet []byte) (socketio.Frame, bool) {
	forms := w.deflated.Load()
	if forms == nil {
		w.deflated.CompareAndSwap(nil, new(deflatedForms))
		forms = w.deflated.Load()
	}
	forms.once.Do(func() {
		beginning, err := socketio.DeflateStart(w.packet[:w.common])
		if err != nil {
			return // the event is sent without compression
		}
		if frame := socketio.DeflateEnd(beginning, w.packet[w.common:]); len(frame.Data) < len(w.packet) {
			forms.frame, forms.beginning = frame, frame.Data[:len(beginning)]
		}
	})
	if forms.beginning == nil {
		return socketio.Frame{}, false
	}
	if &packet[0] == &w.packet[0] {
		return forms.frame, true
	}
	return forms.other(packet, packet[w.common:], &w.settled), true
}

func (f *deflatedForms) other(packet, rest []byte, settled *atomic.Bool) socketio.Frame {
	i := 0
	for ; i < len(f.others); i++ {
		made := f.others[i].Load()
		if made == nil {
			break
		}
		if made.packet == &packet[0] {
			return made.frame
		}
	}
	frame := socketio.DeflateEnd(f.beginning, rest)
	if i < len(f.others) && !settled.Load() {
		f.others[i].CompareAndSwap(nil, &deflatedPacket{&packet[0], frame})
	}
	return frame
}

func (f *deflatedForms) settle() {
	for i := range f.others {
		f.others[i].Store(nil)
	}
}
