package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	// maxNamespaceBytes bounds a namespace's name, which is echoed to the client.
	maxNamespaceBytes = 256
	// maxHeaderBytes bounds the text before the JSON: the type, the number of attachments,
	// the namespace and the id of the acknowledgement.
	maxHeaderBytes = 1 + 8 + maxNamespaceBytes + 1 + 20
)

// parseHeader parses the text before the JSON, which it returns unparsed in Data. Data
// shares memory with text.
func parseHeader(text []byte) (Packet, error) {
	if len(text) == 0 || text[0] < byte(PacketConnect) || text[0] > byte(PacketBinaryAck) {
		return Packet{}, fmt.Errorf("%w: unknown type", ErrPacket)
	}
	packet := Packet{Type: PacketType(text[0]), Namespace: defaultNamespace}
	rest := text[1:]
	if packet.binary() {
		digits, after, found := bytes.Cut(rest[:min(len(rest), 8)], []byte{'-'})
		count, err := strconv.ParseUint(string(digits), 10, 16)
		if !found || err != nil {
			return Packet{}, fmt.Errorf("%w: number of attachments", ErrPacket)
		}
		packet.Attachments = int(count)
		rest = rest[min(len(rest), 8)-len(after):]
	}
	if len(rest) > 0 && rest[0] == '/' {
		namespace, after, _ := bytes.Cut(rest, []byte{','})
		if len(namespace) > maxNamespaceBytes {
			return Packet{}, fmt.Errorf("%w: namespace of %d bytes", ErrPacket, len(namespace))
		}
		// The text after a question mark was a query in earlier versions; it is ignored.
		namespace, _, _ = bytes.Cut(namespace, []byte{'?'})
		packet.Namespace, rest = string(namespace), after
	}
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	if digits > 0 {
		id, err := strconv.ParseUint(string(rest[:min(digits, 20)]), 10, 53)
		if err != nil || digits > 20 {
			return Packet{}, fmt.Errorf("%w: acknowledgement id", ErrPacket)
		}
		packet.ID, packet.HasID, rest = id, true, rest[digits:]
	}
	if len(rest) > 0 {
		packet.Data = rest
	}
	return packet, nil
}

// check returns [ErrPacket] if the JSON does not match the type: an object or nothing for
// CONNECT, nothing for DISCONNECT, and an array for the others.
func (p Packet) check() error {
	if p.Data != nil && !json.Valid(p.Data) {
		return fmt.Errorf("%w: not JSON", ErrPacket)
	}
	first := byte(0)
	if data := bytes.TrimLeft(p.Data, " \t\r\n"); len(data) > 0 {
		first = data[0]
	}
	fits := false
	switch p.Type {
	case PacketConnect:
		fits = first == 0 || first == '{'
	case PacketDisconnect:
		fits = first == 0
	case PacketConnectError:
		fits = first == '{' || first == '"'
	default:
		fits = first == '['
	}
	if !fits {
		return fmt.Errorf("%w: payload does not suit type %q", ErrPacket, byte(p.Type))
	}
	if !p.HasID && (p.Type == PacketAck || p.Type == PacketBinaryAck) {
		return fmt.Errorf("%w: acknowledgement without id", ErrPacket)
	}
	return nil
}

// maxElements bounds the elements of the array of one packet: the name of the event and its
// arguments. Each costs memory in addition to its text.
const maxElements = 256

// splitArray returns the elements of a valid JSON array, sharing its memory. If there are
// more than maxElements, it returns one more than that.
func splitArray(array json.RawMessage) []json.RawMessage {
	array = bytes.TrimSpace(array)
	array = array[1 : len(array)-1]
	var elements []json.RawMessage
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(array); i++ {
		switch c := array[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0 && len(elements) == maxElements:
			return append(elements, array[start:])
		case c == ',' && depth == 0:
			elements = append(elements, bytes.TrimSpace(array[start:i]))
			start = i + 1
		}
	}
	if last := bytes.TrimSpace(array[start:]); len(last) > 0 {
		elements = append(elements, last)
	}
	return elements
}

// reserved are the event names that only the libraries themselves emit.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true, "disconnecting": true,
	"newListener": true, "removeListener": true,
}

// splitEvent returns an event's name and arguments. The name must be a string
// and not one of the reserved; "error" is a name like any other.
func splitEvent(array json.RawMessage) (name string, args []json.RawMessage, err error) {
	elements := splitArray(array)
	if len(elements) > maxElements {
		return "", nil, fmt.Errorf("%w: more than %d arguments", ErrPacket, maxElements-1)
	}
	if len(elements) == 0 || elements[0][0] != '"' {
		return "", nil, fmt.Errorf("%w: event name is not a string", ErrPacket)
	}
	if err := json.Unmarshal(elements[0], &name); err != nil {
		return "", nil, fmt.Errorf("%w: event name: %w", ErrPacket, err)
	}
	if reserved[name] {
		return "", nil, fmt.Errorf("%w: event name is reserved", ErrPacket)
	}
	return name, elements[1:], nil
}
