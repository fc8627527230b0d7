package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineReader reads lines of which it keeps a bounded part. A line that is longer does
// not end the reading, as it does for a [bufio.Scanner].
type lineReader struct {
	input    *bufio.Reader
	maxBytes int
	line     []byte
}

// newLineReader returns a reader that keeps maxBytes of a line and one more, so that
// a line past the bound can be told from one at the bound.
func newLineReader(input io.Reader, maxBytes int) *lineReader {
	return &lineReader{input: bufio.NewReaderSize(input, 64<<10), maxBytes: maxBytes}
}

// next returns a line without its end and the white space around it, or, of a line
// that is too long, its first maxBytes+1 bytes. It is valid until the next call. After the last line the error is [io.EOF].
func (r *lineReader) next() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.input.ReadSlice('\n')
		ended := err == nil
		if ended {
			part = part[:len(part)-1]
		}
		r.line = append(r.line, part[:min(len(part), r.maxBytes+1-len(r.line))]...)
		switch {
		case ended, errors.Is(err, io.EOF) && len(r.line) > 0:
			if len(r.line) > r.maxBytes {
				return r.line, nil // What was cut off may be more than white space.
			}
			return bytes.TrimSpace(r.line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
