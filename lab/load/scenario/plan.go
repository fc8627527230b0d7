package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/messaging"
)

// plan says which events are published, and when each is due. Events go to the
// jobs in turns: the nth to jobs[n % len(jobs)], as that job's number n / len(jobs).
type plan struct {
	jobs  []string
	total int
	delay time.Duration
	bytes int
	// started is when the first event is due; nil before publishing begins.
	started atomic.Pointer[time.Time]
}

// newPlan returns a plan for some events over some jobs.
func newPlan(jobs, total int, delay time.Duration, bytes int) *plan {
	p := &plan{total: total, delay: delay, bytes: bytes}
	for range max(jobs, 1) {
		p.jobs = append(p.jobs, newJob())
	}
	return p
}

// perJob returns how many events the job at an index gets.
func (p *plan) perJob(job int) int {
	return p.upTo(job, p.total)
}

// upTo returns how many of the first n events the job at an index gets.
func (p *plan) upTo(job, n int) int { return (n - job + len(p.jobs) - 1) / len(p.jobs) }

// begin makes the nth event due now, and the others before and behind it.
func (p *plan) begin(n int) {
	first := time.Now().Add(-time.Duration(n) * p.delay)
	p.started.Store(&first)
}

// due returns when the nth event is to be published.
func (p *plan) due(n int) time.Time { return p.started.Load().Add(time.Duration(n) * p.delay) }

// index returns which event of the plan a job's is, by its number.
func (p *plan) index(job, number int) int { return number*len(p.jobs) + job }

// body returns the nth event as it is published. Its id says which one it is to
// each receiver.
func (p *plan) body(n int) (id string, body []byte, err error) {
	job, number := p.jobs[n%len(p.jobs)], n/len(p.jobs)
	event := map[string]any{"type": "loadtest", "occurredAt": messaging.FormatTime(time.Now()), "number": number}
	if p.bytes > 0 {
		event["text"] = strings.Repeat("x", p.bytes)
	}
	envelope, err := messaging.NewDomain(job, event)
	if err == nil {
		envelope.ID = job + "/" + strconv.Itoa(number)
		body, err = envelope.Encode()
	}
	if err != nil {
		return "", nil, fmt.Errorf("event %d: %w", n, err)
	}
	return envelope.ID, body, nil
}

// board is where the followers of a trial post what they got. Its methods may be
// called concurrently.
type board struct {
	plan       *plan
	latency    *measure.Latency
	deliveries *measure.Timeline
	missing    atomic.Int64
	complete   chan struct{} // closed when nothing is missing

	mu     sync.Mutex // guards the two below
	broken time.Time  // when something was reset
	last   time.Time  // when the last missing delivery came
}

// newBoard returns the board of a plan whose followers are due so many deliveries
// in all.
func newBoard(p *plan, due int, began time.Time) *board {
	b := &board{plan: p, latency: measure.NewLatency(), deliveries: measure.NewTimeline(began), complete: make(chan struct{})}
	b.missing.Store(int64(due))
	return b
}

// post notes a first delivery, of the nth event, and its latency where a caller
// wants it.
func (b *board) post(n int, received time.Time, latency *measure.Latency) {
	if latency != nil {
		latency.Record(received.Sub(b.plan.due(n)))
	}
	b.deliveries.Add(received, 1)
	if b.missing.Add(-1) == 0 {
		b.mu.Lock()
		b.last = received
		b.mu.Unlock()
		close(b.complete)
	}
}

// breaks notes that something is out of order from now on.
func (b *board) breaks() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = time.Now()
}

// recovery returns how long it took from the break until nothing was missing.
func (b *board) recovery() (took time.Duration, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.Sub(b.broken), !b.last.IsZero()
}
