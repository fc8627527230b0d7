package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineReader reads lines, and keeps at most a bounded part of each. Unlike a
// [bufio.Scanner], it continues after a line that is longer than the bound.
type lineReader struct {
	input    *bufio.Reader
	maxBytes int
	line     []byte
}

// newLineReader returns a reader that keeps at most maxBytes+1 bytes of a line. The
// additional byte shows that the line is longer than maxBytes.
func newLineReader(input io.Reader, maxBytes int) *lineReader {
	return &lineReader{input: bufio.NewReaderSize(input, 64<<10), maxBytes: maxBytes}
}

// next returns the next line without its line feed and the white space around it. Of a line
// longer than maxBytes it returns the first maxBytes+1 bytes. The slice is valid until the
// next call. After the last line the error is [io.EOF].
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
				return r.line, nil // The discarded part may have more than white space.
			}
			return bytes.TrimSpace(r.line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
