package oracle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrMalformed is matched if a file contains a line that no journal writes. The error names
// the file and the line; a retry does not help.
var ErrMalformed = errors.New("malformed journal")

// entry is one line of a file.
type entry struct {
	ID       string `json:"id,omitempty"`
	Job      string `json:"job"`
	Sequence uint64 `json:"sequence,omitempty"`
	// Client is the client of the line, in a file that several clients share.
	Client string `json:"client,omitempty"`
	// Follows marks the line with which a client begins a job, after Sequence.
	Follows bool `json:"follows,omitempty"`
	// Renewed marks such a line of a client that begins in the current epoch: purged events
	// must not be delivered to it any more.
	Renewed bool `json:"renewed,omitempty"`
	// Resumed marks the first delivery after a resume whose cursor was not recorded.
	Resumed bool `json:"resumed,omitempty"`
	// At is when the line was written, in milliseconds since 1970; 0 in S, P and M, which
	// are read back. The judge ignores it.
	At int64 `json:"at,omitempty"`
}

// readFile returns the lines of one file, or none if the file does not exist.
func readFile(dir, name string) ([]entry, error) {
	file, err := os.Open(filepath.Join(dir, name+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = file.Close() }()
	entries, err := readEntries(file)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", name, err)
	}
	return entries, nil
}

// readEntries reads one object from each line. An incomplete last line was being written
// when the writer died, and is ignored. That hides no fault: in S, M or C it counts as a
// loss, in A as a phantom, and in K it was not a promise yet.
func readEntries(r io.Reader) ([]entry, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		if !ended {
			return entries, nil
		}
		text = rest
		var e entry
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, len(entries)+1, err)
		}
		if e.Job == "" || decoder.More() {
			return nil, fmt.Errorf("%w: line %d: not one entry with a job", ErrMalformed, len(entries)+1)
		}
		entries = append(entries, e)
	}
}
