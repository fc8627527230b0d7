package engineio

import (
	"encoding/binary"
	"errors"
)

const (
	// maxFragments bounds the frames of one message. Browsers send one; empty fragments
	// would never reach the size limit.
	maxFragments = 1024
	// maxControlFrames bounds the control frames between two messages. A correct client
	// sends at least one pong message per ping interval.
	maxControlFrames = 256
	// headBytes is how much is kept of a message that is too large: enough to answer it.
	headBytes = 1024
)

var (
	// errFlood ends a connection whose client sends an endless series of frames without
	// data.
	errFlood = errors.New("engineio: too many frames without a message")
	// errTooLarge ends a connection whose client sends a fragmented or compressed message
	// larger than MaxPayloadBytes.
	errTooLarge = errors.New("engineio: more than the largest message")
)

// frameScanner counts the frames in the bytes that a client sends, and removes most of a
// message that is too large, so that it is never in memory. It interprets the lengths and
// the mark of compressed messages; the WebSocket layer validates frames.
//
//	FIN RSV opcode | MASK length7 | length16 or length64 | masking key | payload
//
// Of a message larger than mostBytes about the first headBytes are passed on, as a message
// of that size: the lengths in its frames are rewritten in their original form.
type frameScanner struct {
	// mostBytes is the size above which a message is cut, 0 for none. payloadBytes is the
	// size above which the WebSocket layer ends the connection.
	mostBytes, payloadBytes uint64

	header     [14]byte
	have       int    // bytes of header read
	keep, drop uint64 // bytes of payload to come: first those that are passed on
	fragments  int
	controls   int

	// size is the size of the message so far, and kept is the size of its part that is
	// passed on.
	size, kept uint64
	isCut      bool
	// deflates is set if the client may send compressed messages; it is not changed after
	// the handshake. isDeflated is set for such a message: its first frame is passed on
	// without the mark, so that the WebSocket layer does not decompress the message.
	deflates, isDeflated bool
	// finished counts the messages whose last frame has begun, and delivered those
	// that the WebSocket layer has returned. notes are of those between that were cut or
	// are compressed: few, because that layer reads at most readBufferBytes ahead.
	finished, delivered uint64
	notes               []messageNote
}

// messageNote is what the WebSocket layer does not report of a message.
type messageNote struct {
	number   uint64 // from 1 on
	size     uint64 // on the wire, of a message that was cut
	cut      bool
	deflated bool
}

// pass appends the bytes of src that are passed on to dst. dst may be in front of src in
// the same array, with the bytes between them of a header that an earlier call held back.
func (f *frameScanner) pass(dst, src []byte) ([]byte, error) {
	for len(src) > 0 {
		if f.keep > 0 {
			n := min(f.keep, uint64(len(src)))
			f.keep -= n
			dst, src = append(dst, src[:n]...), src[n:]
			continue
		}
		if f.drop > 0 {
			n := min(f.drop, uint64(len(src)))
			f.drop -= n
			src = src[n:]
			continue
		}
		f.header[f.have] = src[0]
		f.have++
		src = src[1:]
		if f.have < 2 || f.have < f.headerLength() {
			continue
		}
		if err := f.frame(); err != nil {
			return nil, err
		}
		dst = append(dst, f.header[:f.have]...)
		f.have = 0
	}
	return dst, nil
}

// next counts a message that the WebSocket layer has returned, and returns its note, which
// is zero for a whole message that is not compressed.
func (f *frameScanner) next() messageNote {
	f.delivered++
	if len(f.notes) == 0 || f.notes[0].number != f.delivered {
		return messageNote{}
	}
	note := f.notes[0]
	if f.notes = f.notes[1:]; len(f.notes) == 0 {
		f.notes = nil
	}
	return note
}

func (f *frameScanner) headerLength() int {
	length := 2 + f.extendedLength()
	if f.header[1]&0x80 != 0 {
		length += 4
	}
	return length
}

// extendedLength returns how many bytes of the header hold the extended length.
func (f *frameScanner) extendedLength() int {
	switch f.header[1] & 0x7f {
	case 126:
		return 2
	case 127:
		return 8
	}
	return 0
}

// frame handles the frame whose header is complete.
func (f *frameScanner) frame() error {
	length := f.length()
	f.keep, f.drop = length, 0
	final := f.header[0]&0x80 != 0
	if f.deflates && f.header[0]&deflatedBit != 0 {
		if opcode := f.header[0] & opcodeMask; opcode == continuationFrame || opcode >= controlFrame {
			return errDeflate
		}
		f.header[0] &^= deflatedBit
		f.isDeflated = true
	}
	if f.header[0]&opcodeMask >= controlFrame {
		f.controls++
		return f.flood()
	}
	f.fragments++
	if err := f.data(length); err != nil {
		return err
	}
	if !final {
		return f.flood()
	}
	f.finished++
	if f.isCut || f.isDeflated {
		note := messageNote{number: f.finished, cut: f.isCut, deflated: f.isDeflated}
		if f.isCut {
			note.size = f.size
		}
		f.notes = append(f.notes, note)
	}
	f.fragments, f.controls = 0, 0
	f.size, f.kept, f.isCut, f.isDeflated = 0, 0, false, false
	return nil
}

func (f *frameScanner) flood() error {
	if f.fragments > maxFragments || f.controls > maxControlFrames {
		return errFlood
	}
	return nil
}

// data decides which part of a data frame is passed on.
func (f *frameScanner) data(length uint64) error {
	if length > f.payloadBytes || f.size+length > f.payloadBytes {
		if f.isCut {
			return errTooLarge // the WebSocket layer does not count what it is not passed
		}
		f.size = f.payloadBytes // whatever follows, that layer ends the connection
		return nil
	}
	f.size += length
	if f.mostBytes > 0 && f.size > f.mostBytes {
		f.isCut = true
		f.keep = min(length, max(headBytes, f.kept)-f.kept)
		f.drop = length - f.keep
		f.setLength(f.keep)
	}
	f.kept += f.keep
	return nil
}

func (f *frameScanner) length() uint64 {
	switch f.extendedLength() {
	case 2:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 8:
		return binary.BigEndian.Uint64(f.header[2:])
	}
	return uint64(f.header[1] & 0x7f)
}

// setLength writes a length in the form of the existing length, which is not smaller.
func (f *frameScanner) setLength(length uint64) {
	switch f.extendedLength() {
	case 2:
		binary.BigEndian.PutUint16(f.header[2:], uint16(length))
	case 8:
		binary.BigEndian.PutUint64(f.header[2:], length)
	default:
		f.header[1] = f.header[1]&0x80 | byte(length)
	}
}
