package engineio

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
)

// A payload is what one HTTP long-polling request or response carries:
//
//	<packet> 0x1e <packet> 0x1e … <packet>
//
// where a binary message is written as 'b' and its base64 form.
const (
	separator    = 0x1e
	binaryPrefix = 'b'
)

// maxPayloadPackets bounds the packets of one payload. The body's size alone
// would allow half a million empty ones.
const maxPayloadPackets = 16 << 10

// maxAnswerPackets bounds the packets of one response. python-engineio refuses a
// payload with more, and the reference implementation sends no more than its clients
// take.
const maxAnswerPackets = 16

// Packets iterates over the packets of a payload. The sequence ends after the
// first error, which is an [ErrPacket]. Text packets share the payload's memory.
func Packets(payload []byte) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		for count, more := 1, true; more; count++ {
			if count > maxPayloadPackets {
				yield(Packet{}, fmt.Errorf("%w: more than %d packets in a payload", ErrPacket, maxPayloadPackets))
				return
			}
			var text []byte
			text, payload, more = bytes.Cut(payload, []byte{separator})
			packet, err := parsePayloadPacket(text)
			if !yield(packet, err) || err != nil {
				return
			}
		}
	}
}

// CheckPayload parses a payload and returns its first error.
func CheckPayload(payload []byte) error {
	for _, err := range Packets(payload) {
		if err != nil {
			return err
		}
	}
	return nil
}

// AppendPayload appends the payload that carries the frames, in their order.
func AppendPayload(dst []byte, frames ...Frame) []byte {
	for i, frame := range frames {
		if i > 0 {
			dst = append(dst, separator)
		}
		if !frame.Binary {
			dst = append(dst, frame.Data...)
			continue
		}
		dst = append(dst, binaryPrefix)
		dst = base64.StdEncoding.AppendEncode(dst, frame.Data)
	}
	return dst
}

func parsePayloadPacket(text []byte) (Packet, error) {
	if len(text) == 0 || text[0] != binaryPrefix {
		return ParsePacket(text)
	}
	data, err := base64.StdEncoding.AppendDecode(nil, text[1:])
	if err != nil {
		return Packet{}, fmt.Errorf("%w: binary packet: %w", ErrPacket, err)
	}
	return Packet{Type: PacketMessage, Data: data, Binary: true}, nil
}
