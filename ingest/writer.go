package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// maxWriteEvents and maxWriteBytes bound the events of one write. A log takes at most
	// 1,000 records in a batch.
	maxWriteEvents = 1000
	maxWriteBytes  = 4 << 20
	// shrink is the factor by which batches get smaller when the events of a refused batch
	// are tried again. A larger factor sends fewer bytes again to find one bad event among
	// many.
	shrink = 8
	// minBatch is the smallest batch that is worth its cost on any log.
	minBatch = 16
	// roundPatience is how long the writer waits for a round of single appends. Appends that
	// take longer continue in the background and delay only their jobs.
	roundPatience = 100 * time.Millisecond
	// probePatience is how long the writer waits for the log after an attempt whose outcome
	// is unknown.
	probePatience = 30 * time.Second
)

// writer moves events from the queue into the log. The events that arrive during a write
// form the next write. No timer delays an event, so an event on an idle system is appended
// at once, and under load more events share a write.
//
// A write is one batch of the log or, while a batch costs more, a round of single appends
// in which jobs do not wait for each other.
//
// If a batch is refused, none of it is stored. Its events return to the front of their jobs
// and are tried in batches that are smaller by the factor shrink, and finally one by one,
// so that the bad event is appended by itself and gets its own error. After a batch with an
// unknown outcome, its first event is appended by itself, which waits until the log is
// back; then the others are written again. Because they keep their message ids, none is
// stored twice, and no later event of their jobs is written before them.
type writer struct {
	*Ingest
	cost cost
	// apart waits for the goroutines of events that are stored one by one.
	apart sync.WaitGroup
}

// run writes until the queue is closed and empty and all writes have ended. Events that the
// log has not accepted when ctx ends are abandoned.
func (w *writer) run(ctx context.Context) {
	defer w.apart.Wait()
	for {
		limit := w.log.MaxBatch()
		if limit < minBatch {
			limit = maxWriteEvents
		}
		out, ok := w.queue.take(min(limit, maxWriteEvents), maxWriteBytes)
		if !ok {
			return
		}
		for _, e := range out.apart {
			w.apart.Go(func() { // ends when the event does
				defer w.queue.done(e.key)
				w.storeOne(ctx, e)
			})
		}
		if len(out.letters) > 0 {
			w.apart.Go(func() { // ends when the attempt does
				w.queue.putBack(lettersKey, w.storeLetters(ctx, out.letters))
			})
		}
		if out.events > 0 {
			w.write(ctx, out)
		}
	}
}

// write writes events of several jobs together.
func (w *writer) write(ctx context.Context, out handout) {
	if out.events >= w.cost.smallestBatch() && w.log.MaxBatch() >= minBatch && ctx.Err() == nil {
		w.writeBatch(ctx, out)
		return
	}
	w.writeRound(ctx, out)
}

// writeRound appends events one by one, those of different jobs at the same time.
func (w *writer) writeRound(ctx context.Context, out handout) {
	started := time.Now()
	var round sync.WaitGroup
	for _, events := range out.together {
		round.Add(1)
		w.apart.Go(func() { // ends when the events do
			defer round.Done()
			defer w.queue.done(events[0].key)
			for n, e := range events {
				if n > 0 {
					w.queue.progress(e.key)
				}
				w.storeOne(ctx, e)
			}
		})
	}
	waitFor(&round, roundPatience)
	w.cost.round(out.events, time.Since(started)) // A lower bound if the round continues.
}

// writeBatch writes events as one batch, and puts back those that have to be written again.
func (w *writer) writeBatch(ctx context.Context, out handout) {
	b := &batch{jobs: out.together, again: make([][]*event, len(out.together))}
	defer w.putBack(b)
	defer w.guard.Recover("batch", b.drop)
	w.fill(b)
	if len(b.events) == 0 {
		return
	}
	started := time.Now()
	receipts, err := w.log.AppendBatch(ctx, b.records)
	w.wrote(b.events, started, err)
	for n, e := range b.events {
		var sequence uint64
		if err == nil {
			sequence = receipts[n].Sequence
		}
		w.putIdentity(e, sequence)
	}
	switch {
	case err == nil:
		w.cost.batch(len(b.events), time.Since(started))
		for n, e := range b.events {
			w.stored(e, receipts[n])
		}
	case isRefusedBatch(err):
		for _, e := range b.events {
			if e.request != nil && !e.uncertain {
				e.request.set(e.line, outcome{problem: problemNotStored})
			}
		}
		b.tryAgain(len(b.events)/shrink, nil)
	case ctx.Err() != nil:
		for _, e := range b.events {
			e.finishSpan(messaging.Receipt{}, err)
			if e.request == nil {
				w.abandon(err)
			}
			e.settle()
		}
	default:
		for _, e := range b.events {
			e.uncertain = true
		}
		w.probe(ctx, b)
	}
}

// batch is events of several jobs that are written in one batch.
type batch struct {
	// jobs are the events as take returned them; again are the events of each job that have
	// to be written again.
	jobs, again [][]*event
	// events are the events in the batch; records are their records.
	events  []*event
	records []messaging.Record
	// probed is closed when the first event, which is stored by itself, has ended; its job
	// is put back then. It is nil if no event is stored by itself.
	probed chan struct{}
}

// drop ends the events of a batch whose handling panicked.
func (b *batch) drop() {
	for n, events := range b.jobs {
		b.again[n] = nil
		for _, e := range events {
			e.settle()
		}
	}
}

// fill chooses the events for the batch.
func (w *writer) fill(b *batch) {
	most := 0
	for _, events := range b.jobs {
		most += len(events)
	}
	b.events, b.records = make([]*event, 0, most), make([]messaging.Record, 0, most)
	for n, events := range b.jobs {
		for at, e := range events {
			if !e.begin() {
				e.settle()
				continue
			}
			if !w.identify(e) {
				// The head of the log has to be read first, which this event does by itself.
				// The later events of its job follow it.
				e.largest = 1
				b.again[n] = events[at:]
				break
			}
			record := e.record
			if e.identity != nil {
				record.MessageID = e.identity.messageID()
			}
			b.events, b.records = append(b.events, e), append(b.records, record)
		}
	}
}

// tryAgain puts back the events that have not ended, to be written in batches of at most
// largest. It leaves out leftOut, which another goroutine stores; leftOut may be nil.
func (b *batch) tryAgain(largest int, leftOut *event) {
	if largest < minBatch {
		largest = 1
	}
	for n, events := range b.jobs {
		b.again[n] = nil
		for _, e := range events {
			if e == leftOut || e.settled {
				continue
			}
			if e.largest == 0 || largest < e.largest {
				e.largest = largest
			}
			b.again[n] = append(b.again[n], e)
		}
	}
}

// putBack returns the jobs of a batch to the queue.
func (w *writer) putBack(b *batch) {
	for n, events := range b.jobs {
		key := events[0].key
		if b.probed == nil || key != b.events[0].key {
			w.queue.putBack(key, b.again[n])
			continue
		}
		w.apart.Go(func() { // ends when the first event does
			<-b.probed
			w.queue.putBack(key, b.again[n])
		})
	}
}

// probe appends the first event of a batch with an unknown outcome by itself, which waits
// until the log is back. The result decides how the others are tried again: together if the
// batch was not stored, and one by one, as duplicates, if it was.
func (w *writer) probe(ctx context.Context, b *batch) {
	first := b.events[0]
	ended := make(chan fate, 1)
	b.probed = make(chan struct{})
	w.apart.Go(func() { // ends when the event does
		defer close(b.probed)
		ended <- w.storeOne(ctx, first)
	})
	timer := time.NewTimer(probePatience)
	defer timer.Stop()
	largest := 1
	select {
	case found := <-ended:
		if found != wasDuplicate {
			largest = maxWriteEvents
		}
	case <-timer.C:
	}
	b.tryAgain(largest, first)
}

// waitFor waits until a group has ended, at most for patience.
func waitFor(group *sync.WaitGroup, patience time.Duration) {
	ended := make(chan struct{})
	go func() { // ends with the group
		defer close(ended)
		group.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}
