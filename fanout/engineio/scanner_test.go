package engineio_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// appendFrame appends a masked frame with a length of 7, 16 or 64 bits.
func appendFrame(dst []byte, first byte, form int, payload []byte) []byte {
	dst = append(dst, first)
	switch {
	case form == 0 && len(payload) < 126:
		dst = append(dst, 0x80|byte(len(payload)))
	case form <= 1 && len(payload) < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(len(payload)))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(len(payload)))
	}
	return append(append(dst, 1, 2, 3, 4), payload...)
}

// readFrame takes one masked frame off a stream.
func readFrame(t *testing.T, stream []byte) (first byte, payload, rest []byte) {
	t.Helper()
	if len(stream) < 6 {
		t.Fatalf("%d bytes are left of a frame", len(stream))
	}
	first, length, rest := stream[0], uint64(stream[1]&0x7f), stream[2:]
	switch length {
	case 126:
		length, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		length, rest = binary.BigEndian.Uint64(rest), rest[8:]
	}
	if !bytes.HasPrefix(rest, []byte{1, 2, 3, 4}) || uint64(len(rest)-4) < length {
		t.Fatalf("a frame of %d bytes in %d", length, len(rest))
	}
	return first, rest[4 : 4+length], rest[4+length:]
}

// FuzzFrames: however a stream of frames is split into reads, messages within the bound
// come out as they are, larger ones as their beginning, with their size, and control
// frames between them unchanged.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 5, 0x81, 200, 0x01, 30, 0x89, 2, 0x80, 250}, byte(3))
	f.Add([]byte{0x01, 255, 0x00, 255, 0x80, 255, 0x82, 255, 0x8a, 0}, byte(1))
	f.Add([]byte{0xc1, 9, 0x41, 200, 0x89, 1, 0xc0, 5, 0x81, 1}, byte(0))
	f.Add([]byte{0x02, 1, 0x80, 0, 0x81, 17, 0x81, 18, 0x81, 255}, byte(200))
	f.Fuzz(func(t *testing.T, recipe []byte, split byte) {
		const most, factor = 2048, 16
		type message struct {
			data     []byte
			size     int
			deflated bool
		}
		var stream []byte
		var messages, controls [][]byte
		var marked []bool // whether a message is compressed
		var open []byte
		opened := false
		for i := 0; i+1 < len(recipe) && i < 64; i += 2 {
			first, payload := recipe[i], bytes.Repeat([]byte{recipe[i+1] | 1}, factor*int(recipe[i+1]))
			form := int(first>>4) & 0x3
			switch {
			case first&0x8 != 0:
				first, payload = 0x89, payload[:min(len(payload), 125)]
				controls = append(controls, payload)
			default:
				first = first&0xc0 | 1
				if opened {
					first &= 0x80 // goes on
				} else {
					marked = append(marked, first&0x40 != 0)
				}
				open, opened = append(open, payload...), true
				if first&0x80 != 0 {
					messages = append(messages, open)
					open, opened = nil, false
				}
			}
			stream = appendFrame(stream, first, form, payload)
		}

		scanner := engineio.NewScanner(most, 1<<20)
		var out []byte
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), 1+int(split))
			passed, err := scanner.Pass(rest[:n])
			if err != nil {
				t.Fatal(err)
			}
			out, rest = append(out, passed...), rest[n:]
		}

		var got []message
		var data []byte
		for len(out) > 0 {
			var first byte
			var payload []byte
			first, payload, out = readFrame(t, out)
			if first&0x8 != 0 {
				if len(controls) == 0 || !bytes.Equal(payload, controls[0]) {
					t.Fatal("a control frame changed")
				}
				controls = controls[1:]
				continue
			}
			data = append(data, payload...)
			if first&0x40 != 0 {
				t.Fatal("the mark of a compressed message was passed on")
			}
			if first&0x80 != 0 {
				size, cut, deflated := scanner.Next()
				if !cut {
					size = uint64(len(data))
				}
				got = append(got, message{data, int(size), deflated})
				data = nil
			}
		}
		if len(got) != len(messages) || len(controls) > 0 {
			t.Fatalf("%d messages of %d, %d control frames are missing", len(got), len(messages), len(controls))
		}
		for i, sent := range messages {
			switch {
			case got[i].deflated != marked[i]:
				t.Fatalf("message %d: compressed is %v, want %v", i, got[i].deflated, marked[i])
			case got[i].size != len(sent), !bytes.HasPrefix(sent, got[i].data):
				t.Fatalf("message %d of %d bytes became %d of %d", i, len(sent), len(got[i].data), got[i].size)
			case len(sent) <= most && len(got[i].data) != len(sent):
				t.Fatalf("message %d of %d bytes was cut", i, len(sent))
			case len(got[i].data) > most:
				t.Fatalf("%d bytes are kept of message %d", len(got[i].data), i)
			}
		}
	})
}
