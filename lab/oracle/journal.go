package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The names of the files.
const (
	attemptedFile    = "A"
	acknowledgedFile = "K"
	storedFile       = "S"
	purgedFile       = "P"
	projectedFile    = "M"
	clientPrefix     = "C-"
	suffix           = ".ndjson"
)

// Journal writes the files of one trial. Its methods may be called concurrently; the lines
// of one file are in the order of the calls. An error of a write is returned by
// [Journal.Close], so that callers can continue.
type Journal struct {
	dir string

	mu    sync.Mutex // guards the fields below
	files map[string]*os.File
	err   error // the first failure to write
}

// Open creates the folder, and appends to existing files.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{dir: dir, files: map[string]*os.File{}}, nil
}

// Dir returns the folder, for [Judge].
func (j *Journal) Dir() string { return j.dir }

// Attempted records that the producer is about to publish an event.
func (j *Journal) Attempted(id, job string) { j.write(attemptedFile, entry{ID: id, Job: job}) }

// Acknowledged records a receipt. Sequence 0 means that the receipt does not state the
// sequence.
func (j *Journal) Acknowledged(id, job string, sequence uint64) {
	j.write(acknowledgedFile, entry{ID: id, Job: job, Sequence: sequence})
}

// Stored records a record of the log. The caller passes the records of a job in their
// order.
func (j *Journal) Stored(id, job string, sequence uint64) {
	j.write(storedFile, entry{ID: id, Job: job, Sequence: sequence})
}

// Purged records a record that an operator is about to remove from the log, with its
// acknowledgements and deliveries so far.
func (j *Journal) Purged(id, job string, sequence uint64) {
	j.write(purgedFile, entry{ID: id, Job: job, Sequence: sequence})
}

// Projected records a document.
func (j *Journal) Projected(id, job string, sequence uint64) {
	j.write(projectedFile, entry{ID: id, Job: job, Sequence: sequence})
}

// Follows records that a client requests a job's events after a sequence, for the first
// time or again.
func (j *Journal) Follows(client, job string, after uint64) {
	j.write(clientPrefix+client, entry{Job: job, Sequence: after, Follows: true})
}

// Renewed records that a client begins a job in a new epoch of the log from its beginning,
// because it was told of the epoch or because it connects only now. From then on no purged
// event may be delivered to it, and all other events must be, once more.
func (j *Journal) Renewed(client, job string) {
	j.write(clientPrefix+client, entry{Job: job, Follows: true, Renewed: true})
}

// Delivered records an event that a client received. resumed marks the first delivery of a
// job after a resume for which [Journal.Follows] was not called.
func (j *Journal) Delivered(client, id, job string, sequence uint64, resumed bool) {
	j.write(clientPrefix+client, entry{ID: id, Job: job, Sequence: sequence, Resumed: resumed})
}

// Close closes the files. It returns the first error of any write.
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
	j.mu.Lock()
	defer j.mu.Unlock()
	if name != storedFile && name != purgedFile && name != projectedFile {
		e.At = time.Now().UnixMilli()
	}
	line, err := json.Marshal(e)
	file := j.files[name]
	if file == nil && err == nil {
		file, err = os.OpenFile(filepath.Join(j.dir, name+suffix), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err == nil {
			j.files[name] = file
		}
	}
	if err == nil {
		_, err = file.Write(append(line, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("write journal %s: %w", name, err)
	}
}

// Crowd is a group of clients that share one file, because ten thousand files would be too
// many. It can be used until the journal is closed.
type Crowd struct {
	journal *Journal
	name    string
}

// Crowd returns the writer of a file for many clients.
func (j *Journal) Crowd(name string) Crowd { return Crowd{journal: j, name: clientPrefix + name} }

// Follows is [Journal.Follows] for one of the crowd.
func (c Crowd) Follows(client, job string, after uint64) {
	c.journal.write(c.name, entry{Client: client, Job: job, Sequence: after, Follows: true})
}

// Delivered is [Journal.Delivered] for one of the crowd.
func (c Crowd) Delivered(client, id, job string, sequence uint64, resumed bool) {
	c.journal.write(c.name, entry{Client: client, ID: id, Job: job, Sequence: sequence, Resumed: resumed})
}
