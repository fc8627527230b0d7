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

// publication is the envelopes of one request on their way to the log. Each line ends once,
// by the writer or by the request that withdraws it. A request may be answered before all
// lines have ended.
type publication struct {
	// asked ends with the request or with its time; after that no append begins.
	asked context.Context

	mu sync.Mutex // guards outcomes and answered
	// outcomes has an element for each line.
	outcomes []outcome
	// answered is true once the request has taken the outcomes; lines that end later are
	// ignored.
	answered bool

	// jobs are the jobs of the lines.
	jobs map[string]struct{}
	// open counts the lines that are queued or being written, and one more until the request
	// has queued all of them; ended is closed at 0.
	open  atomic.Int64
	ended chan struct{}
}

// answerGrace is how long a request waits, after its time is over, for the appends that
// have begun. They usually end at once with the request's context; a log that has lost its
// server may take seconds. Later events of the job wait for the append; the request does
// not.
const answerGrace = 250 * time.Millisecond

// storeLines stores envelopes. It returns the outcome of each once all have ended, or
// answerGrace after ctx has ended. key is the id of the envelopes without one.
//
// If the first of two lines of one job is given up, the second is not stored, so that each
// job keeps its order. Once ctx or the drain of the gateway has ended, no append begins.
// traceParent is the trace context of the request, which counts for envelopes without one.
func (i *Ingest) storeLines(ctx context.Context, lines []line, key, traceParent string) []outcome {
	i.metrics.httpReceived.Add(float64(len(lines)))
	receivedAt := time.Now() // before any line waits for the budget
	p := &publication{
		asked:    ctx,
		outcomes: make([]outcome, len(lines)),
		jobs:     make(map[string]struct{}),
		ended:    make(chan struct{}),
	}
	p.open.Add(1)
	for n, line := range lines {
		arrived := i.arrival()
		record, refused := i.record(line.text, key)
		if refused != nil {
			i.refusedSpan(line.text, systemHTTP, sourceHTTP, messaging.Reason(refused.Code), arrived)
			p.set(n, outcome{problem: refused})
			continue
		}
		if record.TraceParent == "" {
			record.TraceParent = traceParent
		}
		e := &event{record: record, receivedAt: receivedAt, request: p, line: n, budget: i.budget, sizeBytes: len(record.Body)}
		i.beginSpan(e, systemHTTP, sourceHTTP, arrived, i.arrival())
		p.set(n, outcome{problem: problemNotStored})
		if i.budget.take(ctx, e.sizeBytes) {
			i.enqueue(p, e)
		} else {
			e.finishSpan(messaging.Receipt{}, errUnfinished)
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

// record returns the record of an envelope.
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
		// The id is not derived from the payload, as it is for Redis: one request reaches one
		// gateway, and a second equal request is another event.
		record.MessageID = "r:" + rand.Text()
	}
	return record, nil
}

// enqueue queues a line for which the budget was taken.
func (i *Ingest) enqueue(p *publication, e *event) {
	p.open.Add(1)
	jobID := e.record.JobID
	if !i.queue.add(jobID, e) { // the gateway is stopping
		e.settle()
		return
	}
	p.jobs[jobID] = struct{}{}
}

// withdraw ends the lines that are not being written.
func (i *Ingest) withdraw(p *publication) {
	for jobID := range p.jobs {
		for _, e := range i.queue.withdraw(jobID, p) {
			e.settle()
		}
	}
}

// set records the outcome of a line, unless the request was answered.
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

// errNotBegun means that a line was not given to the log, because the time of its request
// was over.
var errNotBegun = errors.New("the request has ended")

// fail records that a line is not in the log, as far as is known. rejection is nil unless
// the log refuses the line for good.
func (p *publication) fail(e *event, rejection *messaging.Rejection, err error) {
	switch {
	case rejection != nil:
		p.set(e.line, outcome{problem: notTaken(rejection)})
	case errors.Is(err, errNotBegun): // The outcome was set before.
	default:
		p.set(e.line, outcome{problem: problemUnconfirmed})
	}
}

// notTaken returns the problem of an event that the log refuses. The details are for
// operators.
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
