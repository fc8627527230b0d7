package engineio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/flate"
)

// The compression of messages, permessage-deflate (RFC 7692). Each message is compressed by
// itself in both directions (server_no_context_takeover, client_no_context_takeover), so
// that a connection keeps no compressor, and all connections can share one compressed form.

// maxDeflaters bounds the messages that are compressed at the same time in a process, and
// also those that are decompressed: a compressor takes 0.3 MB, a decompressor 45 KB.
const maxDeflaters = 8

var (
	deflaters = make(chan struct{}, maxDeflaters)
	// inflaters has the decompressors that are not in use; nil for one that was never used.
	inflaters = make(chan io.ReadCloser, maxDeflaters)
)

func init() {
	for range maxDeflaters {
		inflaters <- nil
	}
}

// errDeflate ends a connection whose client marks a frame as compressed that cannot be.
var errDeflate = errors.New("engineio: compressed control frame or continuation")

// offersDeflate reports whether a handshake has an offer of permessage-deflate that the
// answer of the WebSocket layer accepts. That answer never limits the window of the server,
// so an offer that asks for a limit is declined, as are those with unknown parameters
// (RFC 7692, section 5.1).
func offersDeflate(header http.Header) bool {
	for _, line := range header.Values("Sec-Websocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			parts := strings.Split(offer, ";")
			for i := range parts {
				parts[i] = strings.TrimSpace(parts[i])
			}
			if parts[0] == "permessage-deflate" && acceptable(parts[1:]) {
				return true
			}
		}
	}
	return false
}

func acceptable(parameters []string) bool {
	for i, parameter := range parameters {
		name, value, valued := strings.Cut(parameter, "=")
		switch {
		case slices.ContainsFunc(parameters[:i], func(other string) bool {
			earlier, _, _ := strings.Cut(other, "=")
			return earlier == name
		}):
			return false
		case !valued && (name == "server_no_context_takeover" || name == "client_no_context_takeover" || name == "client_max_window_bits"):
		case name == "client_max_window_bits":
			bits, err := strconv.Atoi(strings.Trim(value, `"`))
			if err != nil || bits < 8 || bits > 15 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// DeflateStart compresses the beginning of a message. [DeflateEnd] appends the rest, which
// may differ between clients.
func DeflateStart(beginning []byte) ([]byte, error) {
	deflaters <- struct{}{}
	defer func() { <-deflaters }()
	var compressed bytes.Buffer
	if err := flate.StatelessDeflate(&compressed, beginning, false, nil); err != nil {
		return nil, fmt.Errorf("engineio: compress a message: %w", err)
	}
	return compressed.Bytes(), nil
}

// DeflateEnd returns the frame of a text message, whose beginning [DeflateStart] has
// compressed and whose rest is not compressed. Only a session for which [Session.Deflates]
// returns true may be given the frame.
//
// The rest is a stored block (RFC 1951, section 3.2.4), and the last byte is what RFC 7692,
// section 7.2.1, leaves of an empty one:
//
//	compressed beginning, to a whole byte | 0 LEN ^LEN rest | 0
func DeflateEnd(beginning, rest []byte) Frame {
	data := append(make([]byte, 0, len(beginning)+len(rest)+6), beginning...)
	for block := range slices.Chunk(rest, math.MaxUint16) {
		size := uint16(len(block)) // #nosec G115 -- a chunk is not larger
		data = binary.LittleEndian.AppendUint16(append(data, 0), size)
		data = append(binary.LittleEndian.AppendUint16(data, ^size), block...)
	}
	return Frame{Data: append(data, 0), deflated: true}
}

// inflate decompresses a message (RFC 7692, section 7.2.2). Of a larger one it returns
// most+1 bytes. After an error it returns what was decompressed.
func inflate(data []byte, most int) ([]byte, error) {
	const tail = "\x00\x00\xff\xff" + // which the sender has removed
		"\x01\x00\x00\xff\xff" // a final block, so that the message ends
	source := io.MultiReader(bytes.NewReader(data), strings.NewReader(tail))
	inflater := <-inflaters
	defer func() { inflaters <- inflater }()
	if inflater == nil {
		inflater = flate.NewReader(source)
	} else if err := inflater.(flate.Resetter).Reset(source, nil); err != nil {
		return nil, fmt.Errorf("engineio: decompress a message: %w", err)
	}
	message, err := io.ReadAll(io.LimitReader(inflater, int64(most)+1))
	if err != nil {
		err = fmt.Errorf("engineio: decompress a message: %w", err)
	}
	return message, err
}

// inflated decompresses a message, and charges it to the client by its full size. Of a
// message that is too large only the beginning is decompressed and returned, and note says
// that it was cut. The error is [errTooLarge] if the connection has to end for that.
func (w *webSocket) inflated(data []byte, note messageNote) ([]byte, messageNote, error) {
	cfg := w.server.cfg
	most := int(cfg.MaxPayloadBytes)
	if cfg.MaxMessageBytes > 0 {
		most = min(most, cfg.MaxMessageBytes)
	}
	if note.cut {
		most = headBytes - 1 // what is left of it need not end with a whole block
	}
	message, err := inflate(data, most)
	w.session.Charge(max(0, len(message)-len(data)))
	switch {
	case note.cut:
		return message, note, nil
	case err != nil || len(message) <= most:
		return message, note, err
	case most == int(cfg.MaxPayloadBytes):
		return nil, note, errTooLarge
	}
	note.cut, note.size = true, uint64(len(message))
	return message[:headBytes], note, nil
}

// closeCodeOf is the WebSocket close code for an error of inflated.
func closeCodeOf(err error) int {
	if errors.Is(err, errTooLarge) {
		return websocket.CloseMessageTooBig
	}
	return websocket.CloseInvalidFramePayloadData
}
