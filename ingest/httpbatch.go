package ingest

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// batch is the envelopes of one request on their way through the lanes. Each is
// ended once: by the lane that has processed it, or by the request that has
// withdrawn it. A request may be answered before all are ended.
type batch struct {
	mu sync.Mutex // guards the two below
	// outcomes has the place of each line.
	outcomes []outcome
	// answered is set once the request has taken the outcomes: a line that ends
	// later changes nothing.
	answered bool

	// jobs are the lanes that have lines.
	jobs map[string]struct{}
	// open counts the lines that are in lanes, and the request until it has put
	// all of them there; ended is closed at 0.
	open  atomic.Int64
	ended chan struct{}
}

// answerGrace is how long a request still waits, after its time is over, for what
// the log has begun. As a rule that ends at once with the request's context; a log
// that has lost its server may take seconds. The lane waits for it, so that no later
// event of the job overtakes; the request does not.
const answerGrace = 250 * time.Millisecond

// storeLines stores envelopes, and returns what became of each once all of them
// are ended, or answerGrace after ctx has. The key is the id of those without one.
//
// Of two lines of one job, the second is never stored when the first was given
// up: the lanes keep their order, and when ctx or the drain of the gateway ends,
// nothing is begun any more.
func (i *Ingest) storeLines(ctx context.Context, lines []line, key string) []outcome {
	i.metrics.httpReceived.Add(float64(len(lines)))
	b := &batch{
		outcomes: make([]outcome, len(lines)),
		jobs:     make(map[string]struct{}),
		ended:    make(chan struct{}),
	}
	b.open.Add(1)
	for n, line := range lines {
		record, refused := i.record(line.text, key)
		if refused != nil {
			b.set(n, outcome{problem: refused})
			continue
		}
		b.set(n, outcome{problem: problemNotStored})
		if i.budget.take(ctx, len(record.Body)) {
			i.enqueue(ctx, b, n, record)
		}
	}
	b.end()
	select {
	case <-b.ended:
	case <-ctx.Done():
		i.withdraw(b)
		grace := time.NewTimer(answerGrace)
		defer grace.Stop()
		select {
		case <-b.ended:
		case <-grace.C:
		}
	}
	outcomes := b.take()
	for _, o := range outcomes {
		if o.problem != nil {
			i.metrics.httpRefused.WithLabelValues(o.problem.Code).Inc()
		}
	}
	return outcomes
}

// record makes a record of an envelope.
func (i *Ingest) record(text []byte, key string) (messaging.Record, *problem) {
	envelope, err := i.catalogue.Decode(text, i.cfg.MaxEventBytes)
	switch {
	case err != nil:
		return messaging.Record{}, rejected(rejectionOf(err))
	case envelope.ID == "":
		envelope.ID = key
	case key != "" && envelope.ID != key:
		return messaging.Record{}, &problem{
			status: http.StatusBadRequest, Code: codeKey,
			Message: "Idempotency-Key and the id of the envelope differ",
		}
	}
	record := envelope.Record(time.Now())
	if record.MessageID == "" {
		// Not derived from the payload, as it is for Redis: one request is heard
		// by one gateway, and a second one like it is meant.
		record.MessageID = "r:" + rand.Text()
	}
	return record, nil
}

// enqueue puts a line, for which the budget was taken, into the lane of its job.
func (i *Ingest) enqueue(ctx context.Context, b *batch, n int, record messaging.Record) {
	b.open.Add(1)
	added := i.lanes.add(record.JobID, turn{
		store: func(work context.Context) {
			defer b.end()
			b.set(n, outcome{problem: problemUnconfirmed}) // as long as the log has it in hand
			b.set(n, i.storeRecord(work, ctx, record))
		},
		budget:    i.budget,
		sizeBytes: len(record.Body),
		batch:     b,
	})
	if !added { // the gateway is stopping
		i.budget.give(len(record.Body))
		b.end()
		return
	}
	b.jobs[record.JobID] = struct{}{}
}

// withdraw ends the lines that no lane has begun.
func (i *Ingest) withdraw(b *batch) {
	for jobID := range b.jobs {
		for _, t := range i.lanes.withdraw(jobID, b) {
			i.budget.give(t.sizeBytes)
			b.end()
		}
	}
}

// set notes what became of a line, unless the request was answered.
func (b *batch) set(n int, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.answered {
		b.outcomes[n] = o
	}
}

// take returns the outcomes for the answer.
func (b *batch) take() []outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = true
	return b.outcomes
}

// end counts one line as ended.
func (b *batch) end() {
	if b.open.Add(-1) == 0 {
		close(b.ended)
	}
}

// storeRecord appends a record until work or the request's context ends.
func (i *Ingest) storeRecord(work, asked context.Context, record messaging.Record) outcome {
	if asked.Err() != nil || work.Err() != nil {
		return outcome{problem: problemNotStored}
	}
	ctx, cancel := context.WithCancel(work)
	defer cancel()
	defer context.AfterFunc(asked, cancel)()
	stored, err := i.log.Append(ctx, record)
	if rejection, final := refusal(err); final {
		return outcome{problem: notTaken(rejection)}
	}
	if err != nil {
		return outcome{problem: problemUnconfirmed}
	}
	// Under a name that is nobody else's, it is a first attempt whose answer was
	// lost.
	duplicate := stored.Duplicate && record.ID != ""
	i.metrics.stored(duplicate)
	return outcome{receipt: &receipt{ID: record.ID, JobID: record.JobID, Sequence: stored.Sequence, Duplicate: duplicate}}
}

// notTaken returns the problem of an event that the log refuses, whose details
// are for operators.
func notTaken(rejection *messaging.Rejection) *problem {
	detail := "the log cannot store this event"
	switch rejection.Reason {
	case messaging.ReasonTooLarge:
		detail = "the event is larger than the log takes"
	case messaging.ReasonIDConflict:
		detail = rejection.Detail
	}
	return rejected(&messaging.Rejection{Reason: rejection.Reason, Detail: detail})
}
