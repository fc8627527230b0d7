package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// publication is the envelopes of one request on their way to the log. Each is ended
// once: by the writer, or by the request that has withdrawn it. A request may be
// answered before all are ended.
type publication struct {
	// asked ends with the request, or with its time: then nothing more is begun.
	asked context.Context

	mu sync.Mutex // guards the two below
	// outcomes has the place of each line.
	outcomes []outcome
	// answered is set once the request has taken the outcomes: a line that ends
	// later changes nothing.
	answered bool

	// jobs are those that have lines.
	jobs map[string]struct{}
	// open counts the lines that are in the queue or being written, and the request
	// until it has put all of them there; ended is closed at 0.
	open  atomic.Int64
	ended chan struct{}
}

// answerGrace is how long a request still waits, after its time is over, for what
// the log has begun. As a rule that ends at once with the request's context; a log
// that has lost its server may take seconds. The later events of the job wait for it;
// the request does not.
const answerGrace = 250 * time.Millisecond

// storeLines stores envelopes, and returns what became of each once all of them
// are ended, or answerGrace after ctx has. The key is the id of those without one.
//
// Of two lines of one job, the second is never stored when the first was given
// up: each job keeps its order, and when ctx or the drain of the gateway ends,
// nothing is begun any more.
func (i *Ingest) storeLines(ctx context.Context, lines []line, key string) []outcome {
	i.metrics.httpReceived.Add(float64(len(lines)))
	p := &publication{
		asked:    ctx,
		outcomes: make([]outcome, len(lines)),
		jobs:     make(map[string]struct{}),
		ended:    make(chan struct{}),
	}
	p.open.Add(1)
	for n, line := range lines {
		record, refused := i.record(line.text, key)
		if refused != nil {
			p.set(n, outcome{problem: refused})
			continue
		}
		p.set(n, outcome{problem: problemNotStored})
		if i.budget.take(ctx, len(record.Body)) {
			i.enqueue(p, n, record)
		}
	}
	p.end()
	select {
	case <-p.ended:
	case <-ctx.Done():
		i.withdraw(p)
		grace := time.NewTimer(answerGrace)
		defer grace.Stop()
		select {
		case <-p.ended:
		case <-grace.C:
		}
	}
	outcomes := p.take()
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
	now := time.Now()
	i.metrics.arrived(envelope.EmittedAt, now)
	record := envelope.Record(now)
	if record.MessageID == "" {
		// Not derived from the payload, as it is for Redis: one request reaches one
		// gateway, and a second one like it is another event.
		record.MessageID = "r:" + rand.Text()
	}
	return record, nil
}

// enqueue puts a line, for which the budget was taken, into the queue of its job.
func (i *Ingest) enqueue(p *publication, n int, record messaging.Record) {
	e := &event{record: record, receivedAt: time.Now(), request: p, line: n, budget: i.budget, sizeBytes: len(record.Body)}
	p.open.Add(1)
	if !i.queue.add(record.JobID, e) { // the gateway is stopping
		e.settle()
		return
	}
	p.jobs[record.JobID] = struct{}{}
}

// withdraw ends the lines that are not being written.
func (i *Ingest) withdraw(p *publication) {
	for jobID := range p.jobs {
		for _, e := range i.queue.withdraw(jobID, p) {
			e.settle()
		}
	}
}

// set notes what became of a line, unless the request was answered.
func (p *publication) set(n int, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.answered {
		p.outcomes[n] = o
	}
}

// take returns the outcomes for the answer.
func (p *publication) take() []outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = true
	return p.outcomes
}

// end counts one line as ended.
func (p *publication) end() {
	if p.open.Add(-1) == 0 {
		close(p.ended)
	}
}

// appendLine appends the record of a line until work or its request ends.
func (i *Ingest) appendLine(work context.Context, e *event) (messaging.Receipt, error) {
	if err := work.Err(); err != nil {
		return messaging.Receipt{}, errNotBegun
	}
	if !e.begin() {
		return messaging.Receipt{}, errNotBegun
	}
	ctx, cancel := context.WithCancel(work)
	defer cancel()
	defer context.AfterFunc(e.request.asked, cancel)()
	return i.log.Append(ctx, e.record)
}

// errNotBegun says that a line was not given to the log, because its time was over.
var errNotBegun = errors.New("the request has ended")

// fail notes that a line is not in the log, as far as that is known. rejection is nil
// unless the log refuses it for good.
func (p *publication) fail(e *event, rejection *messaging.Rejection, err error) {
	switch {
	case rejection != nil:
		p.set(e.line, outcome{problem: notTaken(rejection)})
	case errors.Is(err, errNotBegun): // What is known of it stands there already.
	default:
		p.set(e.line, outcome{problem: problemUnconfirmed})
	}
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
