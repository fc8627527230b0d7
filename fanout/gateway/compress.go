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

// Compression says which HTTP answers are compressed with gzip for clients that accept
// it. Answers of less than compressFrom bytes are never compressed.
type Compression string

const (
	// CompressNothing compresses no answer. The zero value means the same.
	CompressNothing Compression = "off"
	// CompressPages compresses pages of events.
	CompressPages Compression = "pages"
	// CompressAll compresses pages of events and event streams. Each event of a stream is
	// then compressed separately for each client.
	CompressAll Compression = "all"
)

const (
	// compressFrom is the size in bytes of the smallest answer that is compressed. A smaller
	// answer fits into one packet either way.
	compressFrom = 1 << 10
	// compressWindow is how many of the last bytes a gzipBody keeps, for later pieces to
	// refer to. Events of one job have the same field names, so that one or two events are
	// enough.
	compressWindow = 2 << 10
	// compressKeep is the largest buffer that a gzipBody keeps between two pieces.
	compressKeep = 16 << 10
)

// compresses reports whether an answer is compressed: the setting is one of with, and the
// request accepts gzip.
func (g *Gateway) compresses(r *http.Request, with ...Compression) bool {
	return slices.Contains(with, g.policy.Compression) && acceptsGzip(r.Header)
}

// acceptsGzip reports whether a request accepts gzip: its Accept-Encoding has gzip, or "*"
// and not gzip, with a weight above 0 (RFC 9110, section 12.5.3).
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

// gzipBody compresses pieces of data into one gzip member (RFC 1952). A client can decode
// each piece when it arrives. Between two pieces a gzipBody keeps compressWindow bytes and a
// buffer of at most compressKeep; a flate.Writer at levels 1 to 6, of this module or of the
// standard library, keeps 0.8 to 1.2 MB. It is used by one goroutine.
type gzipBody struct {
	begun  bool
	window []byte
	sum    uint32
	size   uint32
	piece  []byte // the buffer of the last piece, unless it was larger than compressKeep
}

// gzipHeader is the header of a member without a name, a time or an operating system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// compress returns a piece of the body that decodes to data, and also the end of the body
// if last is true. The result is valid until the next call.
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
	z.size += uint32(len(data)) // modulo 2^32, as the format requires
	if last {
		piece = binary.LittleEndian.AppendUint32(piece, z.sum)
		return binary.LittleEndian.AppendUint32(piece, z.size), nil
	}
	newest := data[max(0, len(data)-compressWindow):]
	older := z.window[max(0, len(z.window)+len(newest)-compressWindow):]
	z.window = append(append(z.window[:0], older...), newest...)
	return piece, nil
}

// appender implements io.Writer by appending to a slice.
type appender []byte

// Write implements io.Writer.
func (a *appender) Write(data []byte) (int, error) {
	*a = append(*a, data...)
	return len(data), nil
}
