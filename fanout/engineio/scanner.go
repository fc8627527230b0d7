package engineio

import "errors"

const (
	// maxFragments bounds the frames of one message. Browsers send one;
	// empty fragments would never reach the size limit.
	maxFragments = 1024
	// maxControlFrames bounds the control frames between two messages. An
	// honest client sends a pong message per ping interval at least.
	maxControlFrames = 256
)

// errFlood ends a connection whose client sends frames without end that carry
// nothing.
var errFlood = errors.New("engineio: too many frames without a message")

// frameScanner counts the frames in the bytes a client sends. It follows the
// lengths only; what is wrong with a frame is for the WebSocket layer to say.
//
//	FIN RSV opcode | MASK length7 | length16 or length64 | masking key | payload
type frameScanner struct {
	header    [14]byte
	have      int    // bytes of header read
	skip      uint64 // bytes of payload to come
	fragments int
	controls  int
}

func (f *frameScanner) check(p []byte) error {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, uint64(len(p)))
			f.skip -= n
			p = p[n:]
			continue
		}
		f.header[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have < 2 || f.have < f.headerLength() {
			continue
		}
		if err := f.frame(); err != nil {
			return err
		}
	}
	return nil
}

func (f *frameScanner) headerLength() int {
	length := 2
	switch f.header[1] & 0x7f {
	case 126:
		length += 2
	case 127:
		length += 8
	}
	if f.header[1]&0x80 != 0 {
		length += 4
	}
	return length
}

// frame counts the frame whose header is complete.
func (f *frameScanner) frame() error {
	length := uint64(f.header[1] & 0x7f)
	extended := 0
	switch length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if extended > 0 {
		length = 0
		for _, b := range f.header[2 : 2+extended] {
			length = length<<8 | uint64(b)
		}
	}
	f.have, f.skip = 0, length
	final := f.header[0]&0x80 != 0
	switch {
	case f.header[0]&opcodeMask >= controlFrame:
		f.controls++
	case final:
		f.fragments, f.controls = 0, 0
	default:
		f.fragments++
	}
	if f.fragments > maxFragments || f.controls > maxControlFrames {
		return errFlood
	}
	return nil
}
