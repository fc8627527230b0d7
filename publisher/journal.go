package publisher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/letswriteabook/realtime/internal/filelock"
)

// The journal is one file of lines, each with a checksum (CRC-32C) in front:
//
//	3f1c9a02 {"id":"job-7/1","jobId":"job-7","body":"…"}     the event was accepted
//	77d0e1b4 {"id":"job-7/1","jobId":"job-7"}               the event was settled
//
// An incomplete last line, left by a crash, is cut off. The file is rewritten with
// the waiting events only when it is opened and whenever most of its lines are settled.
const journalName = "outbox.journal"

// compactBytes is the smallest size at which a journal is rewritten.
const compactBytes = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kept is one line: an accepted event, or, without a body, a settled one.
type kept struct {
	ID    string `json:"id"`
	JobID string `json:"jobId,omitempty"`
	Body  []byte `json:"body,omitempty"` // in base64: a byte more or less would be another event
}

func (k kept) key() eventKey { return eventKey{k.JobID, k.ID} }

// journalFile is the part of *os.File that the journal uses.
type journalFile interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// journal keeps the outbox on disk. Its methods may be called concurrently.
type journal struct {
	path string
	sync bool

	mu   sync.Mutex // guards all below
	file journalFile
	lock *filelock.Lock
	live map[eventKey]int // the bytes of each waiting event
	size int              // of the file
	used int              // by waiting events
	// retry is the size at which a failed compaction is retried.
	retry int
	// torn is set while a failed write may have left bytes after size. Nothing is
	// written after them.
	torn bool
}

// keep writes an event to the journal, if there is one.
func (p *Publisher) keep(id, jobID string, body []byte) error {
	if p.journal == nil {
		return nil
	}
	return p.journal.append(kept{ID: id, JobID: jobID, Body: body})
}

// forget notes that an event is settled. After a failure the next publisher repeats the
// event, which the log stores once.
func (p *Publisher) forget(event eventKey) {
	if p.journal != nil {
		_ = p.journal.append(kept{ID: event.id, JobID: event.jobID})
	}
}

func (p *Publisher) closeJournal() error {
	if p.journal == nil {
		return nil
	}
	return p.journal.close()
}

// openJournal returns the events that an earlier publisher left, in the order in which
// they were accepted.
func (p *Publisher) openJournal() ([]kept, error) {
	fail := func(err error) ([]kept, error) {
		return nil, fmt.Errorf("%w in %q: %w", ErrJournal, p.cfg.Dir, err)
	}
	if err := os.MkdirAll(p.cfg.Dir, 0o700); err != nil {
		return fail(err)
	}
	lock, err := filelock.Take(filepath.Join(p.cfg.Dir, journalName+".lock"))
	if err != nil {
		return fail(err)
	}
	j := &journal{path: filepath.Join(p.cfg.Dir, journalName), sync: p.cfg.Sync, lock: lock, live: make(map[eventKey]int)}
	left, err := readJournal(j.path)
	if err == nil {
		err = j.rewrite(left)
	}
	if err != nil {
		if j.file != nil {
			_ = j.file.Close()
		}
		_ = lock.Close()
		return fail(err)
	}
	p.journal = j
	return left, nil
}

// readJournal returns the waiting events of a file. A missing file has none.
func readJournal(path string) ([]kept, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseJournal(file)
}

// parseJournal parses lines. Only the last one may be incomplete.
func parseJournal(input io.Reader) ([]kept, error) {
	var order []eventKey
	waiting := make(map[eventKey]kept)
	place := make(map[eventKey]int) // of each waiting event, in order
	// job has the job of each id, for lines of settled events without a job. Versions
	// that wrote those did not accept one id for two jobs.
	job := make(map[string]string)
	reader := bufio.NewReader(input)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // Publish never returned for this line
		}
		if err != nil {
			return nil, err
		}
		record, err := parseLine(line)
		if err != nil {
			if _, more := reader.Peek(1); errors.Is(more, io.EOF) {
				break
			}
			return nil, fmt.Errorf("line %d: %w; move the file away to start without what it holds", number, err)
		}
		if record.Body == nil {
			if record.JobID == "" {
				record.JobID = job[record.ID]
			}
			delete(waiting, record.key())
			continue
		}
		if _, known := waiting[record.key()]; !known {
			place[record.key()] = len(order)
			order = append(order, record.key())
		}
		waiting[record.key()], job[record.ID] = record, record.JobID
	}
	left := make([]kept, 0, len(waiting))
	for i, event := range order {
		if record, found := waiting[event]; found && place[event] == i {
			left = append(left, record)
		}
	}
	return left, nil
}

func parseLine(line []byte) (record kept, err error) {
	sum, text, found := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
	if !found || string(sum) != checksum(text) {
		return record, errors.New("the checksum does not fit")
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return record, err
	}
	if record.ID == "" || record.Body != nil && record.JobID == "" {
		return record, errors.New("no id, or an event without a job")
	}
	return record, nil
}

func checksum(text []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) }

func encodeLine(record kept) ([]byte, error) {
	text, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return append(append([]byte(checksum(text)), ' '), append(text, '\n')...), nil
}

// append writes one line. If that fails, the incomplete line is cut off at once, or, if
// that fails too, before the next line is written. With sync, append waits for the disk.
// When most lines are settled it rewrites the journal, which takes as long as writing
// the waiting events, whose size the outbox bounds.
func (j *journal) append(record kept) error {
	line, err := encodeLine(record)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.used -= j.live[record.key()]
	delete(j.live, record.key())
	if j.torn {
		if err := j.mend(); err != nil {
			return fmt.Errorf("%w: %w", ErrJournal, err)
		}
	}
	_, err = j.file.Write(line)
	if err == nil && j.sync && record.Body != nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, errors.Join(err, j.mend()))
	}
	j.size += len(line)
	if record.Body != nil {
		j.used += len(line)
		j.live[record.key()] = len(line)
		return nil
	}
	if j.size > max(compactBytes, j.retry) && j.used < j.size/4 {
		if err := j.compact(); err != nil {
			j.retry = 2 * j.size // each attempt reads the whole file
			return err
		}
		j.retry = 0
	}
	return nil
}

// mend removes the bytes that a failed write may have left. A file without waiting
// events is emptied, which frees space on a full disk.
func (j *journal) mend() error {
	if len(j.live) == 0 {
		j.size, j.used = 0, 0
	}
	err := j.file.Truncate(int64(j.size))
	j.torn = err != nil
	return err
}

// compact rewrites the journal with the waiting events only. j.mu is held.
func (j *journal) compact() error {
	left, err := readJournal(j.path)
	if err == nil {
		err = j.rewrite(left)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	return nil
}

// rewrite replaces the file with one that has these events only. A new file that cannot
// be completed is removed, because it takes space on a full disk.
func (j *journal) rewrite(left []kept) error {
	// O_APPEND, so that a line written after a truncation leaves no hole.
	next, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fail := func(err error) error { return errors.Join(err, next.Close(), os.Remove(j.path+".new")) }
	size, live := 0, make(map[eventKey]int)
	buffer := bufio.NewWriter(next)
	for _, record := range left {
		line, err := encodeLine(record)
		if err == nil {
			_, err = buffer.Write(line)
		}
		if err != nil {
			return fail(err)
		}
		live[record.key()] = len(line)
		size += len(line)
	}
	if err := errors.Join(buffer.Flush(), next.Sync()); err != nil {
		return fail(err)
	}
	if err := os.Rename(j.path+".new", j.path); err != nil {
		return fail(err)
	}
	// From here on this is the journal, even if syncing the folder fails: lines written
	// to the old file would be lost.
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size, j.used, j.live, j.torn = next, size, size, live, false
	return syncFolder(filepath.Dir(j.path))
}

// syncFolder makes a rename in the folder last through a power loss.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.file.Close(), j.lock.Close())
}
