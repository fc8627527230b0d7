package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// patience is how long a test waits for an expected event.
const patience = time.Minute

// canaryJob is the job that memoryLog.before gets for a canary.
const canaryJob = "canary"

// conflictError is the error of a log for a known id with another body.
type conflictError struct{}

func (conflictError) Error() string    { return "another body" }
func (conflictError) IDConflict() bool { return true }

// errPassing is a failure that a retry solves.
var errPassing = errors.New("passing failure")

// memoryLog is a log in memory that behaves like the real one: it deduplicates by message
// id and reports a conflict for another body under an id.
type memoryLog struct {
	mu sync.Mutex // guards the fields below
	// changed is closed and replaced with every change.
	changed chan struct{}
	records []messaging.Record
	letters []messaging.DeadLetter
	// bySequence has the record of each message id.
	bySequence map[string]uint64
	// before is called without the lock, ahead of each append and dead letter.
	before func(ctx context.Context, jobID string) error
	// lostAnswers is how many of the next appends store their record and fail nevertheless.
	lostAnswers int
	// headErr is the error that Head returns.
	headErr error
	heads   int
	// waits is what Waits returns.
	waits atomic.Bool
	// letterWrites counts the calls that stored letters.
	letterWrites int
	// batches counts the attempts to append several records at once.
	batches int

	active    map[string]int
	mostPerID int
	mostAtAll int
}

func newMemoryLog() *memoryLog {
	return &memoryLog{
		changed:    make(chan struct{}),
		bySequence: make(map[string]uint64),
		active:     make(map[string]int),
	}
}

// Append retries temporary failures until ctx ends, as the log does.
func (l *memoryLog) Append(ctx context.Context, r messaging.Record) (messaging.Receipt, error) {
	l.enter(r.JobID)
	defer l.leave(r.JobID)
	for {
		receipt, err := l.attempt(ctx, r)
		if !errors.Is(err, errPassing) {
			return receipt, err
		}
		select {
		case <-ctx.Done():
			return messaging.Receipt{}, fmt.Errorf("append: %w, last attempt: %w", ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
	}
}

// refusedError is the error of a log for a batch with an id that it has.
type refusedError struct{}

func (refusedError) Error() string      { return "the batch was refused" }
func (refusedError) BatchRefused() bool { return true }

// MaxBatch returns the limit of a NATS server.
func (l *memoryLog) MaxBatch() int { return 1000 }

// AppendBatch stores all records or none, in one attempt.
func (l *memoryLog) AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	for _, r := range records {
		l.enter(r.JobID)
		err := l.hold(ctx, r.JobID)
		l.leave(r.JobID)
		if err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches++
	names := make(map[string]bool)
	for _, r := range records {
		if _, known := l.bySequence[r.MessageID]; known || names[r.MessageID] {
			return nil, refusedError{}
		}
		names[r.MessageID] = true
	}
	receipts := make([]messaging.Receipt, len(records))
	for n, r := range records {
		l.records = append(l.records, r)
		receipts[n].Sequence = uint64(len(l.records))
		l.bySequence[r.MessageID] = receipts[n].Sequence
	}
	l.change()
	if l.lostAnswers > 0 {
		l.lostAnswers--
		return nil, errPassing
	}
	return receipts, nil
}

// attempt appends once.
func (l *memoryLog) attempt(ctx context.Context, r messaging.Record) (messaging.Receipt, error) {
	if err := l.hold(ctx, r.JobID); err != nil {
		return messaging.Receipt{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence, ok := l.bySequence[r.MessageID]; ok {
		if r.ID != "" && !bytes.Equal(l.records[sequence-1].Body, r.Body) {
			return messaging.Receipt{}, conflictError{}
		}
		return messaging.Receipt{Sequence: sequence, Duplicate: true}, nil
	}
	l.records = append(l.records, r)
	sequence := uint64(len(l.records))
	l.bySequence[r.MessageID] = sequence
	l.change()
	if l.lostAnswers > 0 {
		l.lostAnswers--
		return messaging.Receipt{}, errPassing
	}
	return messaging.Receipt{Sequence: sequence}, nil
}

// StoreCanary accepts a canary and does not keep it.
func (l *memoryLog) StoreCanary(ctx context.Context, text string) error {
	return l.hold(ctx, canaryJob)
}

func (l *memoryLog) DeadLetter(ctx context.Context, letters ...messaging.DeadLetter) error {
	if err := l.hold(ctx, ""); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters = append(l.letters, letters...)
	l.letterWrites++
	l.change()
	return nil
}

func (l *memoryLog) Waits() bool { return l.waits.Load() }

func (l *memoryLog) Head(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads++
	l.change()
	return uint64(len(l.records)), l.headErr
}

// forgetIDs simulates the end of the dedup window.
func (l *memoryLog) forgetIDs() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.bySequence)
}

// begin empties the log, whose sequences then start at 1.
func (l *memoryLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.bySequence)
	l.records = nil
}

func (l *memoryLog) failHead(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.headErr = err
}

// loseAnswers makes the next appends store their records and fail.
func (l *memoryLog) loseAnswers(count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lostAnswers = count
}

// failWith makes every write fail, until it is called with nil.
func (l *memoryLog) failWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = func(context.Context, string) error { return err }
}

// block makes every write wait until the returned function is called.
func (l *memoryLog) block() (open func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = func(ctx context.Context, _ string) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

// setBefore sets what is called ahead of each append.
func (l *memoryLog) setBefore(before func(ctx context.Context, jobID string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = before
}

func (l *memoryLog) hold(ctx context.Context, jobID string) error {
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, jobID)
}

func (l *memoryLog) enter(jobID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[jobID]++
	l.mostPerID = max(l.mostPerID, l.active[jobID])
	l.mostAtAll = max(l.mostAtAll, len(l.active))
	l.change()
}

func (l *memoryLog) leave(jobID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[jobID]--; l.active[jobID] == 0 {
		delete(l.active, jobID)
	}
}

// change wakes all waiters. The caller holds l.mu.
func (l *memoryLog) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait returns when the condition holds. The condition is called with the lock held.
func (l *memoryLog) wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		done, changed := condition(), l.changed
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("waited %s for %s: %d records, %d dead letters, %d appends in flight",
				patience, what, len(l.records), len(l.letters), len(l.active))
		}
	}
}

func (l *memoryLog) waitRecords(t *testing.T, count int) []messaging.Record {
	t.Helper()
	l.wait(t, "records", func() bool { return len(l.records) >= count })
	return l.stored()
}

func (l *memoryLog) waitLetters(t *testing.T, count int) []messaging.DeadLetter {
	t.Helper()
	l.wait(t, "dead letters", func() bool { return len(l.letters) >= count })
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]messaging.DeadLetter(nil), l.letters...)
}

func (l *memoryLog) stored() []messaging.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]messaging.Record(nil), l.records...)
}
