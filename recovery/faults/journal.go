package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// entry is one line of a journal.
type entry struct {
	ID       string `json:"id,omitempty"`
	Job      string `json:"job"`
	Sequence uint64 `json:"sequence,omitempty"`
	// Follows marks the line with which a client begins a job, after Sequence.
	Follows bool `json:"follows,omitempty"`
	// Resumed marks the first delivery after a reconnection.
	Resumed bool `json:"resumed,omitempty"`
}

// Journal is the append-only files of one trial. Its methods may be called
// concurrently; lines of one file stand in the order of the calls.
type Journal struct {
	dir string

	mu    sync.Mutex // guards the fields below
	files map[string]*os.File
	err   error // the first failure to write
}

// OpenJournal makes the folder of a trial's files.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{dir: dir, files: map[string]*os.File{}}, nil
}

// Attempted notes that the producer is about to publish an event.
func (j *Journal) Attempted(id, job string) { j.write("A", entry{ID: id, Job: job}) }

// Acknowledged notes a receipt.
func (j *Journal) Acknowledged(id, job string, sequence uint64) {
	j.write("K", entry{ID: id, Job: job, Sequence: sequence})
}

// Stored notes a record of the log.
func (j *Journal) Stored(id, job string, sequence uint64) {
	j.write("S", entry{ID: id, Job: job, Sequence: sequence})
}

// Projected notes a document.
func (j *Journal) Projected(id, job string, sequence uint64) {
	j.write("M", entry{ID: id, Job: job, Sequence: sequence})
}

// Follows notes that a client begins a job after a sequence.
func (j *Journal) Follows(client, job string, after uint64) {
	j.write("C-"+client, entry{Job: job, Sequence: after, Follows: true})
}

// Delivered notes what a client received.
func (j *Journal) Delivered(client, id, job string, sequence uint64, resumed bool) {
	j.write("C-"+client, entry{ID: id, Job: job, Sequence: sequence, Resumed: resumed})
}

// Close closes the files. The error is the first that any write had.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.err
	for _, file := range j.files {
		err = errors.Join(err, file.Close())
	}
	j.files = map[string]*os.File{}
	return err
}

func (j *Journal) write(name string, e entry) {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	file := j.files[name]
	if file == nil && err == nil {
		file, err = os.OpenFile(filepath.Join(j.dir, name+".ndjson"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		j.files[name] = file
	}
	if err == nil {
		_, err = file.Write(append(line, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("write journal %s: %w", name, err)
	}
}
