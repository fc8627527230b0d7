package gateway

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Compression says which answers over HTTP are compressed with gzip for clients that
// accept it. Answers of less than compressFrom bytes never are.
type Compression string

const (
	// CompressNothing: none. The zero value stands for it.
	CompressNothing Compression = "off"
	// CompressPages: pages of events.
	CompressPages Compression = "pages"
	// CompressAll: pages of events and event streams. Every event of a stream is then
	// compressed for its client alone.
	CompressAll Compression = "all"
)

const (
	// compressFrom is the size of an answer, in bytes, from which on it is compressed. A
	// smaller one fits into one packet either way.
	compressFrom = 1 << 10
	// compressWindow is how many of the last bytes written a gzipBody keeps to refer to.
	// Events of one job repeat each other's names, so that one or two are enough.
	compressWindow = 2 << 10
	// compressKeep is the largest buffer that a gzipBody keeps between two pieces.
	compressKeep = 16 << 10
)

// compresses reports whether an answer to a request is compressed that is so with the
// given settings.
func (g *Gateway) compresses(r *http.Request, with ...Compression) bool {
	return slices.Contains(with, g.policy.Compression) && acceptsGzip(r.Header)
}

// acceptsGzip reports whether a request accepts gzip: an Accept-Encoding that names it,
// or "*", with a weight above 0 (RFC 9110, section 12.5.3).
func acceptsGzip(header http.Header) bool {
	others, named, accepted := false, false, false
	for _, line := range header.Values("Accept-Encoding") {
		for element := range strings.SplitSeq(line, ",") {
			coding, parameter, _ := strings.Cut(element, ";")
			weight := 1.0
			if name, text, found := strings.Cut(parameter, "="); found && strings.EqualFold(strings.TrimSpace(name), "q") {
				var err error
				if weight, err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
					weight = 0
				}
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				named, accepted = true, accepted || weight > 0
			case "*":
				others = weight > 0
			}
		}
	}
	return accepted || (others && !named)
}

// gzipBody makes one gzip member (RFC 1952) of what is appended to it, piece by piece.
// A client can decode each piece as soon as it has it. Between two pieces it keeps
// compressWindow bytes and a buffer of at most compressKeep, where a flate.Writer at the
// levels 1 to 6 keeps 0.8 to 1.2 MB, in this package and in the standard library.
// It belongs to one goroutine.
type gzipBody struct {
	begun  bool
	window []byte
	sum    uint32
	size   uint32
	piece  []byte // the buffer of the last piece, if it is small enough
}

// gzipHeader is the header of a member without a name, a time and an operating system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// compress returns a piece of the body that decodes to data, with the end of the body
// when it is the last. The result is valid until the next call.
func (z *gzipBody) compress(data []byte, last bool) ([]byte, error) {
	piece := z.piece[:0]
	if !z.begun {
		z.begun = true
		piece = append(piece, gzipHeader...)
	}
	if err := flate.StatelessDeflate((*appender)(&piece), data, last, z.window); err != nil {
		return nil, fmt.Errorf("compress an answer: %w", err)
	}
	z.piece = nil
	if cap(piece) <= compressKeep {
		z.piece = piece
	}
	z.sum = crc32.Update(z.sum, crc32.IEEETable, data)
	z.size += uint32(len(data)) // modulo 2^32, as the format has it
	if last {
		piece = binary.LittleEndian.AppendUint32(piece, z.sum)
		return binary.LittleEndian.AppendUint32(piece, z.size), nil
	}
	newest := data[max(0, len(data)-compressWindow):]
	older := z.window[max(0, len(z.window)+len(newest)-compressWindow):]
	z.window = append(append(z.window[:0], older...), newest...)
	return piece, nil
}

// appender is a slice as a writer.
type appender []byte

// Write implements io.Writer.
func (a *appender) Write(data []byte) (int, error) {
	*a = append(*a, data...)
	return len(data), nil
}
