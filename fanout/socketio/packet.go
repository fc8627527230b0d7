package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// ErrPacket is wrapped by the errors of parsing a packet. A retry does not help.
var ErrPacket = errors.New("socketio: malformed packet")

// PacketType is the first character of a packet.
type PacketType byte

// The packet types of Socket.IO 5.
const (
	PacketConnect      PacketType = '0'
	PacketDisconnect   PacketType = '1'
	PacketEvent        PacketType = '2'
	PacketAck          PacketType = '3'
	PacketConnectError PacketType = '4'
	PacketBinaryEvent  PacketType = '5'
	PacketBinaryAck    PacketType = '6'
)

// defaultNamespace is the namespace of packets that name none.
const defaultNamespace = "/"

// Packet is one packet:
//
//	<type> [<attachments> '-'] [<namespace> ','] [<ack id>] [<JSON>]
//
// followed by its attachments as binary messages.
type Packet struct {
	Type PacketType
	// Attachments is their number, for the two binary types.
	Attachments int
	Namespace   string
	// ID is the id of the acknowledgement if HasID is set.
	ID    uint64
	HasID bool
	// Data is the JSON, or nil without one.
	Data json.RawMessage
}

// Append appends the packet's text.
func (p Packet) Append(dst []byte) []byte {
	dst = append(dst, byte(p.Type))
	if p.binary() {
		dst = append(strconv.AppendInt(dst, int64(p.Attachments), 10), '-')
	}
	if p.Namespace != defaultNamespace && p.Namespace != "" {
		dst = append(append(dst, p.Namespace...), ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

func (p Packet) binary() bool { return p.Type == PacketBinaryEvent || p.Type == PacketBinaryAck }

func (p Packet) frame() engineio.Frame {
	dst := make([]byte, 0, len(p.Data)+len(p.Namespace)+32)
	return engineio.Frame{Data: p.Append(append(dst, byte(engineio.PacketMessage)))}
}

// EncodeEvent returns the Engine.IO packet of an event in the default
// namespace, for [Socket.Offer]. Each payload must be valid JSON.
func EncodeEvent(name string, payload ...json.RawMessage) []byte {
	size := len("42[]") + len(name) + len(`""`)
	for _, argument := range payload {
		size += len(",") + len(argument)
	}
	packet := append(make([]byte, 0, size), byte(engineio.PacketMessage), byte(PacketEvent), '[')
	packet = appendQuoted(packet, name)
	for _, argument := range payload {
		packet = append(append(packet, ','), argument...)
	}
	return append(packet, ']')
}

func quote(text string) json.RawMessage { return appendQuoted(nil, text) }

// appendQuoted appends a text as a JSON string, as [json.Marshal] writes it. Names of
// events usually need no escapes; then nothing is allocated.
func appendQuoted(dst []byte, text string) []byte {
	for i := range len(text) {
		switch char := text[i]; {
		case char < ' ', char > '~', char == '"', char == '\\', char == '<', char == '>', char == '&':
			quoted, _ := json.Marshal(text) // a string always marshals
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

func appendArray(dst []byte, values []json.RawMessage) []byte {
	dst = append(dst, '[')
	for i, value := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, value...)
	}
	return append(dst, ']')
}

// Attachments are the binary buffers of an event or an acknowledgement. They are not
// arguments themselves: they follow the packet, and arguments refer to them with
// [Placeholder].
type Attachments [][]byte

// Placeholder returns the JSON that refers to the attachment with the index.
func Placeholder(index int) json.RawMessage {
	return json.RawMessage(`{"_placeholder":true,"num":` + strconv.Itoa(index) + `}`)
}

// encode marshals the values and returns the frames of a packet with them:
// its text and its attachments.
func (p Packet) encode(values ...any) ([]engineio.Frame, error) {
	elements := make([]json.RawMessage, 0, len(values))
	var attachments Attachments
	for i, value := range values {
		switch value := value.(type) {
		case json.RawMessage:
			elements = append(elements, value)
		case Attachments:
			attachments = append(attachments, value...)
		default:
			element, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("encode value %d of a packet: %w", i, err)
			}
			elements = append(elements, element)
		}
	}
	p.Data = appendArray(nil, elements)
	if len(attachments) == 0 {
		return []engineio.Frame{p.frame()}, nil
	}
	p.Attachments = len(attachments)
	p.Type += PacketBinaryEvent - PacketEvent // the same distance for both
	frames := make([]engineio.Frame, 0, 1+len(attachments))
	frames = append(frames, p.frame())
	for _, data := range attachments {
		frames = append(frames, engineio.BinaryMessage(data))
	}
	return frames, nil
}
