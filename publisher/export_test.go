package publisher

import (
	"errors"
	"io"
)

// JournalLine returns the line of a record in the journal.
func JournalLine(record string) string { return checksum([]byte(record)) + " " + record + "\n" }

// ParseJournal returns JOB/ID of each event that waits.
func ParseJournal(input io.Reader) ([]string, error) {
	left, err := parseJournal(input)
	var ids []string
	for _, record := range left {
		ids = append(ids, record.JobID+"/"+record.ID)
	}
	return ids, err
}

// brokenFile writes half of a line and fails, and then cannot be cut for a while.
type brokenFile struct {
	journalFile
	writes, cuts int
}

var errBroken = errors.New("broken for the test")

func (f *brokenFile) Write(line []byte) (int, error) {
	if f.writes == 0 {
		return f.journalFile.Write(line)
	}
	f.writes--
	n, _ := f.journalFile.Write(line[:len(line)/2])
	return n, errBroken
}

func (f *brokenFile) Truncate(size int64) error {
	if f.cuts == 0 {
		return f.journalFile.Truncate(size)
	}
	f.cuts--
	return errBroken
}

// BreakJournal makes the next writes of a publisher's journal fail half way, and
// the next cuts altogether.
func BreakJournal(p *Publisher, writes, cuts int) {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	p.journal.file = &brokenFile{p.journal.file, writes, cuts}
}

// SlowJournal makes every write of a publisher's journal wait until release is
// called; held has a value once one does.
func SlowJournal(p *Publisher) (held <-chan struct{}, release func()) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	p.journal.file = &slowFile{p.journal.file, gate, entered}
	return entered, func() { close(gate) }
}

type slowFile struct {
	journalFile
	gate, entered chan struct{}
}

func (f *slowFile) Write(line []byte) (int, error) {
	select {
	case f.entered <- struct{}{}:
	default:
	}
	<-f.gate
	return f.journalFile.Write(line)
}

// RewriteJournal writes a journal without events in the place of what is at path.
func RewriteJournal(path string) error { return (&journal{path: path}).rewrite(nil) }
