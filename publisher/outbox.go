package publisher

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// entryOverheadBytes is the approximate memory of a waiting event without its body.
const entryOverheadBytes = 512

// entry is one event in the outbox.
type entry struct {
	*Pending
	body     []byte
	attempts int       // changed under the outbox's lock
	tries    int       // attempts since the last hurry, from which the pause follows; likewise
	first    time.Time // time of the first attempt; owned by the goroutine that sends the event
}

// eventKey names an event: an id belongs to its job.
type eventKey struct{ jobID, id string }

func (e *entry) key() eventKey { return eventKey{e.jobID, e.id} }

func (e *entry) cost() int { return len(e.body) + entryOverheadBytes }

// lane is the events of one job, oldest first. Only the first is ever sent.
type lane struct {
	queue []*entry
	due   time.Time // when the first is to be sent; used while the lane is in the schedule
	index int       // in the schedule; −1 while a request is in flight
}

// outbox holds the events that wait for receipts. Its methods may be called concurrently.
//
// Invariant: every lane that is not empty is in the schedule, or has a request in
// flight.
type outbox struct {
	cfg Config

	// taking has a value while an event is added, including its line of the journal, so
	// that journal and lanes have the same order. It is acquired before mu, which is never
	// held during I/O, so that sending does not wait for the disk. Calls of Publish wait
	// for it one after the other, and a receipt waits for the line that settles its event.
	taking chan struct{}

	mu      sync.Mutex // guards all below
	waiting map[eventKey]*entry
	lanes   map[string]*lane
	// ending has the events whose last lines are being written; each channel is closed
	// when its line is written.
	ending   map[eventKey]chan struct{}
	schedule schedule
	bytes    int
	full     bool // the bound was reached, and OnFull was called
	closed   bool
	room     chan struct{} // closed and replaced when there is room again
}

func newOutbox(cfg Config) *outbox {
	return &outbox{cfg: cfg, taking: make(chan struct{}, 1), waiting: make(map[eventKey]*entry), lanes: make(map[string]*lane), ending: make(map[eventKey]chan struct{}), room: make(chan struct{})}
}

// add adds an event. If the outbox is full, add returns ErrFull, a channel that is closed
// when there is room, and whether the bound was reached by this call. It calls keep before
// it changes anything, and returns the error of keep. It waits for the writes of other
// events until ctx ends, but does not interrupt keep: after an interrupted write it would
// be unknown whether the event is in the journal.
func (o *outbox) add(ctx context.Context, id, jobID string, body []byte, keep func() error) (pending *Pending, room <-chan struct{}, news bool, err error) {
	if err := o.turn(ctx); err != nil {
		return nil, nil, false, err
	}
	defer func() { <-o.taking }()
	e := &entry{Pending: &Pending{id: id, jobID: jobID, settled: make(chan struct{})}, body: body}
	pending, room, news, err = o.admit(ctx, e)
	if pending != nil || err != nil {
		return pending, room, news, err
	}
	if err := keep(); err != nil {
		return nil, nil, false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(e)
	return e.Pending, nil, false, nil
}

// turn acquires taking. If taking is free, turn succeeds even if ctx has ended.
func (o *outbox) turn(ctx context.Context) error {
	select {
	case o.taking <- struct{}{}:
		return nil
	default:
	}
	select {
	case o.taking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the disk: %w", ctx.Err())
	}
}

// admit decides whether an entry may be added: it may if admit returns neither an error
// nor an earlier entry of the same id. The caller holds taking until put.
func (o *outbox) admit(ctx context.Context, e *entry) (known *Pending, room <-chan struct{}, news bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ended := o.ending[e.key()]; ended != nil; ended = o.ending[e.key()] {
		o.mu.Unlock()
		select {
		case <-ended: // otherwise its last line would follow that of the new event
		case <-ctx.Done():
			err = fmt.Errorf("wait for the disk: %w", ctx.Err())
		}
		if o.mu.Lock(); err != nil {
			return nil, nil, false, err
		}
	}
	if o.closed {
		return nil, nil, false, ErrClosed
	}
	if known := o.waiting[e.key()]; known != nil {
		if !messaging.SameEvent(known.body, e.body) {
			return nil, nil, false, fmt.Errorf("%w: %q", ErrIDTaken, e.id)
		}
		return known.Pending, nil, false, nil
	}
	if len(o.waiting) >= o.cfg.MaxEvents || o.bytes+e.cost() > o.cfg.MaxBytes && len(o.waiting) > 0 {
		news, o.full = !o.full, true
		return nil, o.room, news, ErrFull
	}
	return nil, nil, false, nil
}

// put appends an entry to its lane. The caller holds mu, or is the only user.
func (o *outbox) put(e *entry) {
	o.waiting[e.key()] = e
	o.bytes += e.cost()
	l := o.lanes[e.jobID]
	if l == nil {
		l = &lane{index: -1}
		o.lanes[e.jobID] = l
	}
	l.queue = append(l.queue, e)
	if len(l.queue) == 1 {
		l.due = time.Time{}
		heap.Push(&o.schedule, l)
	}
}

// due removes from the schedule the lanes whose next attempt is due, at most limit, the
// earliest first, and returns their first events. A lane returns to the schedule when its
// event is settled or scheduled again. Without a due lane, wait is the time until the next.
func (o *outbox) due(now time.Time, limit int) (batch []*entry, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.schedule) > 0 && len(batch) < limit {
		l := o.schedule[0]
		if wait = l.due.Sub(now); wait > 0 {
			return batch, wait
		}
		heap.Pop(&o.schedule)
		e := l.queue[0]
		e.attempts++
		e.tries++
		batch = append(batch, e)
	}
	return batch, time.Minute // wake ends the wait earlier
}

// again schedules the next attempt of an event, at the earliest atLeast from now.
func (o *outbox) again(e *entry, now time.Time, atLeast time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lanes[e.jobID]
	if o.waiting[e.key()] != e || l.index >= 0 {
		return // its receipt has arrived
	}
	l.due = now.Add(atLeast + o.backoff(e.tries))
	if end := e.first.Add(o.cfg.GiveUpAfter); o.cfg.GiveUpAfter > 0 && !e.first.IsZero() && end.Before(l.due) {
		l.due = end // then it is given up
	}
	heap.Push(&o.schedule, l)
}

// overdue reports whether the first attempt of an event is GiveUpAfter ago.
func (e *entry) overdue(now time.Time, after time.Duration) bool {
	return after > 0 && !e.first.IsZero() && now.Sub(e.first) >= after
}

// sent counts an attempt of an event.
func (e *entry) sent(now time.Time) {
	if e.first.IsZero() {
		e.first = now
	}
}

// backoff is the pause after the nth failed attempt.
func (o *outbox) backoff(tries int) time.Duration {
	pause := o.cfg.MaxBackoff
	if shift := tries - 1; shift < 30 {
		pause = min(pause, o.cfg.MinBackoff<<shift)
	}
	return time.Duration(float64(pause) * (0.75 + rand.Float64()/2))
}

// hurry makes every waiting event due, spread over a short time, and resets the pauses,
// because the cause of the earlier failures is gone.
func (o *outbox) hurry(now time.Time) {
	const spread = 100 * time.Millisecond
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.schedule {
		l.queue[0].tries = 0
		if soon := now.Add(rand.N(spread)); soon.Before(l.due) {
			l.due = soon
		}
	}
	heap.Init(&o.schedule)
}

// settle removes an event that was confirmed or refused. It returns nil if the event is
// not in the outbox, or was never sent by this publisher. It calls forget before the
// outcome is reported, so that the id can only be added again after that.
func (o *outbox) settle(event eventKey, receipt messaging.Receipt, refusal error, forget func(eventKey)) *entry {
	e, ended := o.remove(event)
	if e == nil {
		return nil
	}
	forget(event)
	o.mu.Lock()
	delete(o.ending, event)
	o.mu.Unlock()
	close(ended)
	e.receipt, e.err = receipt, refusal
	close(e.settled)
	return e
}

// remove removes an event from its lane, so that the next one can be sent. The event
// is in ending until the channel ended is closed.
func (o *outbox) remove(event eventKey) (e *entry, ended chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e = o.waiting[event]
	if e == nil || e.attempts == 0 {
		return nil, nil
	}
	delete(o.waiting, event)
	o.bytes -= e.cost()
	l := o.lanes[event.jobID]
	l.queue[0] = nil // the event is the first one: no other has been sent
	l.queue = l.queue[1:]
	if l.index >= 0 {
		heap.Remove(&o.schedule, l.index)
	}
	if len(l.queue) == 0 {
		delete(o.lanes, event.jobID)
	} else {
		l.due = time.Time{}
		heap.Push(&o.schedule, l)
	}
	o.full = false
	close(o.room)
	o.room = make(chan struct{})
	ended = make(chan struct{})
	o.ending[event] = ended
	return e, ended
}

// size returns the number and bytes of the waiting events.
func (o *outbox) size() (events, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting), o.bytes
}

// shut makes the outbox refuse further events, and wakes callers that wait for room.
func (o *outbox) shut() {
	o.taking <- struct{}{} // waits for an event that is being added
	defer func() { <-o.taking }()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.room)
		o.room = make(chan struct{})
	}
}

// abandon ends the wait for receipts of all events with ErrUnconfirmed, and returns the
// number of events.
func (o *outbox) abandon() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.waiting {
		e.err = fmt.Errorf("%w for id %q", ErrUnconfirmed, e.id)
		close(e.settled)
	}
	left := len(o.waiting)
	o.waiting, o.lanes, o.schedule, o.bytes = make(map[eventKey]*entry), make(map[string]*lane), nil, 0
	return left
}

// schedule is a heap of lanes, the earliest due first.
type schedule []*lane

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	l := x.(*lane)
	l.index = len(*s)
	*s = append(*s, l)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	old := *s
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	l.index = -1
	return l
}
