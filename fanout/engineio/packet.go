package engineio

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrPacket is wrapped by the errors of parsing a packet or a payload. A retry does not
// help.
var ErrPacket = errors.New("engineio: malformed packet")

// PacketType is the first character of a text packet.
type PacketType byte

// The packet types of Engine.IO 4.
const (
	PacketOpen    PacketType = '0'
	PacketClose   PacketType = '1'
	PacketPing    PacketType = '2'
	PacketPong    PacketType = '3'
	PacketMessage PacketType = '4'
	PacketUpgrade PacketType = '5'
	PacketNoop    PacketType = '6'
)

// Packet is one decoded packet:
//
//	text:   <type: one digit> <data: UTF-8>
//	binary: <data>, always a message
//
// Data shares memory with what it was read from.
type Packet struct {
	Type   PacketType
	Data   []byte
	Binary bool
	// cutFrom is the size of the original packet if Data is only its beginning; 0 for a
	// whole packet.
	cutFrom int
}

// cut returns a packet with only the beginning of its data.
func (p Packet) cut() Packet {
	p.cutFrom = len(p.Data)
	p.Data = p.Data[:headBytes]
	if !p.Binary {
		p.Data = wholeRunes(p.Data)
	}
	return p
}

// wholeRunes returns text without an incomplete rune at its end.
func wholeRunes(text []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if last := text[len(text)-back:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return text[:len(text)-back]
			}
			break
		}
	}
	return text
}

// Frame is an outgoing packet: a text packet with its type in front, or the bytes of a
// binary message. A frame may be shared between sessions and is never modified.
type Frame struct {
	Data   []byte
	Binary bool
	// offered is true for a frame that is refused at QueueBytes and does not count in the
	// budget of control frames.
	offered bool
	// deflated is true if Data is compressed, see [DeflateEnd].
	deflated bool
	// pong is true for a pong of the WebSocket layer, which is no packet.
	pong bool
}

// Offered returns the frame for a [Session.Send] that does not charge it to the control
// budget, as if it had passed [Session.Offer]. It is for frames that the sender has held
// back and bounded itself.
func (f Frame) Offered() Frame {
	f.offered = true
	return f
}

// ParsePacket parses a text packet. It returns [ErrPacket] for an unknown type and for text
// that is not UTF-8.
func ParsePacket(text []byte) (Packet, error) {
	if len(text) == 0 {
		return Packet{}, fmt.Errorf("%w: empty", ErrPacket)
	}
	kind := PacketType(text[0])
	if kind < PacketOpen || kind > PacketNoop {
		return Packet{}, fmt.Errorf("%w: unknown type %q", ErrPacket, text[0])
	}
	if !utf8.Valid(text) {
		return Packet{}, fmt.Errorf("%w: not UTF-8", ErrPacket)
	}
	return Packet{Type: kind, Data: text[1:]}, nil
}

// TextMessage returns the frame of a text message.
func TextMessage(text []byte) Frame {
	data := make([]byte, 0, 1+len(text))
	data = append(data, byte(PacketMessage))
	return Frame{Data: append(data, text...)}
}

// BinaryMessage returns the frame of a binary message, which shares data.
func BinaryMessage(data []byte) Frame { return Frame{Data: data, Binary: true} }

var (
	frameClose     = Frame{Data: []byte{byte(PacketClose)}}
	framePing      = Frame{Data: []byte{byte(PacketPing)}}
	frameNoop      = Frame{Data: []byte{byte(PacketNoop)}}
	frameProbePong = Frame{Data: []byte("3probe")}
)

// isPing reports whether a frame is [framePing], whose data all pings share.
func isPing(frame Frame) bool { return len(frame.Data) == 1 && &frame.Data[0] == &framePing.Data[0] }
