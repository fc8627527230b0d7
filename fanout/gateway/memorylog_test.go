package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// errDown is what a store of the tests fails with while it is down.
var errDown = errors.New("down for the test")

// memoryLog is the log in memory, with the faults that a real one cannot be made
// to show on demand. Its live tails and its projection are beside it:
// [memoryTail], [memoryProjection].
type memoryLog struct {
	mu    sync.Mutex // guards everything below
	epoch string
	first uint64 // of what is retained; last+1 when nothing is
	last  uint64
	jobs  map[string][]messaging.Record // what is retained, each job's in order
	tails []*memoryTail

	// documents are what the projection has of this epoch, and unprojected what
	// it has not yet.
	documents   map[string][]messaging.Record
	unprojected []messaging.Record
	floor       uint64
	lags        bool // the projection does not move
	legacy      map[string][]messaging.Record
	heads       map[string]messaging.JobHead

	// Faults.
	down       bool          // every request fails
	failReads  int           // so many reads fail
	failAfter  int           // once so many pages were read, the others fail; 0: none does
	gate       chan struct{} // when set, what was read is held back until it is closed
	blind      uint64        // reads do not see the newest records, so many of them
	mongoDown  bool
	mongoHangs time.Duration // how long MongoDB takes for an answer
	reads      int           // of pages of the log, so far
	searches   int           // for pages of the log, so far
	asked      int           // of pages of the projection, so far
}

func newMemoryLog() *memoryLog {
	return &memoryLog{
		epoch: "epoch-1", first: 1, jobs: make(map[string][]messaging.Record), documents: make(map[string][]messaging.Record),
		legacy: make(map[string][]messaging.Record), heads: make(map[string]messaging.JobHead),
	}
}

// began is the time of the first event; each one is a second later.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func emittedAt(sequence uint64) string {
	return messaging.FormatTime(began.Add(time.Duration(sequence) * time.Second))
}

// record returns a domain event with so many bytes of padding.
func record(jobID string, padding int) messaging.Record {
	body := fmt.Sprintf(`{"version":1,"kind":"domain","jobId":%q,"event":{"type":"chapter.saved","occurredAt":"2026-01-02T03:04:05Z","padding":%q}}`,
		jobID, strings.Repeat("x", padding))
	return messaging.Record{JobID: jobID, Kind: messaging.KindDomain, Body: []byte(body)}
}

// publish appends n events to a job, and returns the sequence of the last.
func (l *memoryLog) publish(jobID string, n int) uint64 {
	var last uint64
	for range n {
		last = l.append(record(jobID, 0))
	}
	return last
}

// append stores one record and gives it to the tails.
func (l *memoryLog) append(r messaging.Record) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	r.Position = messaging.Position{Epoch: l.epoch, Sequence: l.last}
	if r.EmittedAt == "" {
		r.EmittedAt = emittedAt(l.last)
	}
	live := messaging.Live{Record: r, Previous: l.newest(r.JobID)}
	l.jobs[r.JobID] = append(l.jobs[r.JobID], r)
	l.unprojected = append(l.unprojected, r)
	if !l.lags {
		l.project()
	}
	for _, tail := range l.tails {
		tail.hear(live)
	}
	return l.last
}

// set changes the log under its lock.
func (l *memoryLog) set(change func(l *memoryLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// project brings the projection up to date. The lock is held.
func (l *memoryLog) project() {
	for _, r := range l.unprojected {
		l.documents[r.JobID] = append(l.documents[r.JobID], r)
	}
	l.unprojected, l.floor = nil, l.last
}

// retain removes every record with a sequence below first. The lock is held.
func (l *memoryLog) retain(first uint64) {
	for jobID, records := range l.jobs {
		l.jobs[jobID] = following(records, first-1, len(records))
	}
	l.first = first
}

// purge removes every record of a job. The lock is held.
func (l *memoryLog) purge(jobID string) {
	delete(l.jobs, jobID)
	l.first = l.last + 1
	for _, records := range l.jobs {
		if len(records) > 0 {
			l.first = min(l.first, records[0].Sequence)
		}
	}
}

// renew begins a new life of the log. The lock is held.
func (l *memoryLog) renew() {
	l.epoch += "'"
	l.first, l.last, l.floor, l.unprojected = 1, 0, 0, nil
	clear(l.jobs)
	clear(l.documents) // those of another epoch are never asked for
}

// sequences returns what the log holds of a job after a sequence.
func (l *memoryLog) sequences(jobID string, after uint64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []uint64
	for _, r := range following(l.jobs[jobID], after, len(l.jobs[jobID])) {
		found = append(found, r.Sequence)
	}
	return found
}

// due returns the sequence that comes next of a job after a sequence, 0 for none.
func (l *memoryLog) due(jobID string, after uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range following(l.jobs[jobID], after, 1) {
		return r.Sequence
	}
	return 0
}

// newest returns the job's newest retained sequence, 0 without one. The lock is
// held.
func (l *memoryLog) newest(jobID string) uint64 {
	records := l.jobs[jobID]
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Sequence
}

// pass waits at the gate, if there is one.
func (l *memoryLog) pass() {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// page returns the records of a job that a read sees. The lock is held.
func (l *memoryLog) page(jobID string) ([]messaging.Record, error) {
	l.reads++
	if l.failAfter > 0 && l.reads > l.failAfter {
		return nil, errDown
	}
	return l.visible(jobID)
}

// visible returns the records of a job that are seen. The lock is held.
func (l *memoryLog) visible(jobID string) ([]messaging.Record, error) {
	if l.down {
		return nil, errDown
	}
	if l.failReads > 0 {
		l.failReads--
		return nil, errDown
	}
	if records := l.jobs[jobID]; l.blind > 0 {
		return preceding(records, l.last+1-min(l.last, l.blind), len(records)), nil
	}
	return l.jobs[jobID], nil
}

// following returns the first limit records after a sequence.
func following(records []messaging.Record, after uint64, limit int) []messaging.Record {
	from := sort.Search(len(records), func(i int) bool { return records[i].Sequence > after })
	records = records[from:]
	return records[:min(limit, len(records))]
}

// preceding returns the last limit records before a sequence.
func preceding(records []messaging.Record, before uint64, limit int) []messaging.Record {
	records = records[:sort.Search(len(records), func(i int) bool { return records[i].Sequence >= before })]
	return records[max(0, len(records)-limit):]
}

// Extent implements fanout.Log.
func (l *memoryLog) Extent(context.Context) (messaging.Extent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return messaging.Extent{}, errDown
	}
	return messaging.Extent{Epoch: l.epoch, First: l.first, Last: l.last}, nil
}

// LastSequence implements fanout.Log.
func (l *memoryLog) LastSequence(_ context.Context, jobID string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return 0, errDown
	}
	return l.newest(jobID), nil
}

// LastSequenceFrom implements fanout.Log.
func (l *memoryLog) LastSequenceFrom(ctx context.Context, jobID string, known uint64) (uint64, error) {
	last, err := l.LastSequence(ctx, jobID)
	return max(last, known), err
}

// LastSequences implements fanout.Log.
func (l *memoryLog) LastSequences(_ context.Context, jobIDs []string) (map[string]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errDown
	}
	found := make(map[string]uint64)
	for _, jobID := range jobIDs {
		if newest := l.newest(jobID); newest > 0 {
			found[jobID] = newest
		}
	}
	return found, nil
}

// ReadAfter implements fanout.Log.
func (l *memoryLog) ReadAfter(_ context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	defer l.pass()
	l.mu.Lock()
	defer l.mu.Unlock()
	records, err := l.page(jobID)
	return pageOf(following(records, after, limit)), err
}

// Locate implements fanout.Log.
func (l *memoryLog) Locate(_ context.Context, jobID string, before uint64, limit int) (messaging.Span, error) {
	defer l.pass()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.searches++
	records, err := l.visible(jobID)
	return spanOf(records, before, limit), err
}

// spanOf returns where the last limit records before a sequence lie.
func spanOf(records []messaging.Record, before uint64, limit int) messaging.Span {
	all := preceding(records, before, len(records))
	found := preceding(records, before, limit)
	if len(found) == 0 {
		return messaging.Span{}
	}
	return messaging.Span{
		First: found[0].Sequence, Last: found[len(found)-1].Sequence, Count: len(found), Older: len(found) < len(all),
	}
}

// sourcePage is what the bodies of one page come to before a source ends it.
const sourcePage = 1 << 20

// pageOf ends a page with the record whose body brings them all to sourcePage.
func pageOf(records []messaging.Record) []messaging.Record {
	size := 0
	for i, r := range records {
		if size += len(r.Body); size >= sourcePage {
			return slices.Clone(records[:i+1])
		}
	}
	return slices.Clone(records)
}

// memoryProjection is the projection of a memoryLog.
type memoryProjection struct{ log *memoryLog }

// Floor implements fanout.Projection.
func (p memoryProjection) Floor(context.Context) (uint64, error) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	if p.log.down {
		return 0, errDown
	}
	return p.log.floor, nil
}

// hang keeps whoever asks waiting, as a MongoDB does that takes connections and
// answers none.
func (p memoryProjection) hang(ctx context.Context) error {
	p.log.mu.Lock()
	hangs := p.log.mongoHangs
	p.log.mu.Unlock()
	if hangs == 0 {
		return nil
	}
	answer := time.NewTimer(hangs)
	defer answer.Stop()
	select {
	case <-answer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// page returns a job's documents of an epoch.
func (p memoryProjection) page(ctx context.Context, jobID, epoch string) ([]messaging.Record, error) {
	if err := p.hang(ctx); err != nil {
		return nil, err
	}
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.asked++
	switch {
	case p.log.mongoDown:
		return nil, errDown
	case epoch != p.log.epoch:
		return nil, nil
	}
	return p.log.documents[jobID], nil // never changed in place while hubs run
}

// ReadAfter implements fanout.Projection.
func (p memoryProjection) ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error) {
	documents, err := p.page(ctx, jobID, after.Epoch)
	return pageOf(following(documents, after.Sequence, limit)), err
}

// ReadBefore implements fanout.Projection.
func (p memoryProjection) ReadBefore(ctx context.Context, jobID string, before messaging.Position, limit int) ([]messaging.Record, error) {
	documents, err := p.page(ctx, jobID, before.Epoch)
	page := slices.Clone(preceding(documents, before.Sequence, limit))
	slices.Reverse(page)
	page = pageOf(page)
	slices.Reverse(page)
	return page, err
}

// Locate implements fanout.Projection.
func (p memoryProjection) Locate(ctx context.Context, jobID string, before messaging.Position, limit int) (messaging.Span, error) {
	documents, err := p.page(ctx, jobID, before.Epoch)
	return spanOf(documents, before.Sequence, limit), err
}

// older returns the documents that older writers left.
func (p memoryProjection) older(ctx context.Context, jobID string) ([]messaging.Record, error) {
	if err := p.hang(ctx); err != nil {
		return nil, err
	}
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	if p.log.mongoDown {
		return nil, errDown
	}
	return slices.Clone(p.log.legacy[jobID]), nil
}

// FindLegacy implements fanout.Projection.
func (p memoryProjection) FindLegacy(ctx context.Context, jobID string, limit int) (names []string, err error) {
	records, err := p.older(ctx, jobID)
	for i := max(0, len(records)-limit); i < len(records); i++ {
		names = append(names, fmt.Sprint(i))
	}
	return names, err
}

// ReadLegacy implements fanout.Projection.
func (p memoryProjection) ReadLegacy(ctx context.Context, jobID string, names []string) ([]messaging.Record, int, error) {
	records, err := p.older(ctx, jobID)
	if err != nil {
		return nil, 0, err
	}
	var named []messaging.Record
	for _, name := range names {
		i, _ := strconv.Atoi(name)
		named = append(named, records[i])
	}
	page := pageOf(named)
	return page, len(page), nil
}

// Head implements fanout.Projection.
func (p memoryProjection) Head(ctx context.Context, jobID string) (messaging.JobHead, bool, error) {
	if err := p.hang(ctx); err != nil {
		return messaging.JobHead{}, false, err
	}
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	if p.log.mongoDown {
		return messaging.JobHead{}, false, errDown
	}
	head, found := p.log.heads[jobID]
	return head, found, nil
}

// wait polls a condition that nothing signals.
func wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}
