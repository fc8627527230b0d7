package ingest

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// queue holds the events that wait for the log, in order for each job. A job has at most
// one write under way, which keeps its order; take returns the waiting events of jobs that
// have none.
//
// The queue is bounded by the [budget] that is taken before add.
type queue struct {
	mu sync.Mutex // guards the fields below
	// changed is signalled when take may have events to return.
	changed *sync.Cond
	// closed is true once add refuses events.
	closed bool
	jobs   map[string]*jobQueue
	seed   maphash.Seed
	// ready are the jobs with events and no write under way, the one that has waited longest
	// first.
	ready []*jobQueue
}

// jobQueue holds the events of one job, the oldest first.
type jobQueue struct {
	key     string
	waiting []*event
	// writing is true while events that take has returned are not done. since is when take
	// returned them, or when the last of them was stored.
	writing bool
	since   time.Time
}

func newQueue() *queue {
	q := &queue{jobs: make(map[string]*jobQueue), seed: maphash.MakeSeed()}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// add appends an event to a job's queue. After close it does nothing and returns false.
func (q *queue) add(key string, e *event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	l, found := q.jobs[key]
	if !found {
		l = &jobQueue{key: key}
		q.jobs[key] = l
	}
	e.key = key
	l.waiting = append(l.waiting, e)
	if !l.writing && len(l.waiting) == 1 {
		q.ready = append(q.ready, l)
		q.changed.Signal()
	}
	return true
}

// handout is the result of take: events of several jobs that are written together, one
// slice for each job, single events that are written by themselves, and dead letters, which
// are written together.
type handout struct {
	together [][]*event
	apart    []*event
	letters  []*event
	// events is the number of events in together.
	events int
}

// take waits for events and returns all that may be written now: at most maxEvents of
// maxBytes, of any number of jobs, to be written together, and the dead letters of one
// write. The caller returns each job with done or putBack. take returns false once the
// queue is closed and no event waits or is being written.
func (q *queue) take(maxEvents, maxBytes int) (handout, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 {
		if q.closed && len(q.jobs) == 0 {
			return handout{}, false
		}
		q.changed.Wait()
	}
	c := collector{limit: maxEvents, maxBytes: maxBytes, names: make(map[uint64]struct{}), seed: q.seed}
	left := q.ready[:0]
	for _, l := range q.ready {
		if l.key == lettersKey {
			c.letters = front(l.waiting, maxWriteEvents, maxBytes)
			q.remove(l, len(c.letters))
			continue
		}
		switch taken, alone := c.collect(l.waiting); {
		case alone:
			c.apart = append(c.apart, l.waiting[0])
			q.remove(l, 1)
		case taken > 0:
			c.together = append(c.together, slices.Clone(l.waiting[:taken]))
			q.remove(l, taken)
		default:
			left = append(left, l)
		}
	}
	clear(q.ready[len(left):])
	q.ready = left
	return c.handout, true
}

// front returns a copy of the first events, at most maxEvents of maxBytes and at least one.
func front(waiting []*event, maxEvents, maxBytes int) []*event {
	count, bytes := 0, 0
	for count < min(len(waiting), maxEvents) && (count == 0 || bytes+waiting[count].sizeBytes <= maxBytes) {
		bytes += waiting[count].sizeBytes
		count++
	}
	return slices.Clone(waiting[:count])
}

// remove removes events from the front of a job that is being written. The caller holds
// q.mu.
func (q *queue) remove(l *jobQueue, count int) {
	clear(l.waiting[:count]) // the array would keep the payloads alive
	l.waiting = l.waiting[count:]
	l.writing, l.since = true, time.Now()
}

// progress records that one event of a job that is being written was stored and others
// follow.
func (q *queue) progress(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.jobs[key]; l != nil {
		l.since = time.Now()
	}
}

// longest returns when the oldest write that is under way began or last made progress; zero
// if there is none. It ignores dead letters and canaries.
func (q *queue) longest() (since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, l := range q.jobs { // bounded by the budget
		if l.writing && key[0] != 0 && (since.IsZero() || l.since.Before(since)) {
			since = l.since
		}
	}
	return since
}

// collector chooses the events that are written together.
type collector struct {
	handout
	limit, maxBytes int
	bytes           int
	// names identify the events chosen so far. class is the value of largest that all of
	// them have.
	names map[uint64]struct{}
	class int
	seed  maphash.Seed
}

// collect adds events from the front of a job's queue to those chosen before and returns
// how many. alone is true if the first event has to be written by itself.
func (c *collector) collect(waiting []*event) (taken int, alone bool) {
	if first := waiting[0]; first.unbatched() || first.largest == 1 {
		return 0, true
	}
	if c.events == 0 {
		c.class = waiting[0].largest
		if c.class > 0 {
			c.limit = min(c.limit, c.class)
		}
	}
	for _, e := range waiting {
		name := c.name(e)
		_, again := c.names[name]
		tooMany := c.events == c.limit || c.events > 0 && c.bytes+e.sizeBytes > c.maxBytes
		if again || tooMany || e.largest != c.class {
			break
		}
		c.names[name] = struct{}{}
		c.events++
		c.bytes += e.sizeBytes
		taken++
	}
	return taken, false
}

// name returns a hash of what identifies an event: its message id, or its payload if it has
// none. The log does not accept the same id twice in a batch, and only one event with the
// same payload can hold the payload's ordinal.
func (c *collector) name(e *event) uint64 {
	if e.record.MessageID == "" {
		return maphash.Bytes(c.seed, e.record.Body)
	}
	return maphash.Comparable(c.seed, [2]string{e.record.JobID, e.record.MessageID})
}

// done ends the writing of a job.
func (q *queue) done(key string) { q.putBack(key, nil) }

// putBack ends the writing of a job and puts the events that have to be written again at
// the front of its queue.
func (q *queue) putBack(key string, again []*event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.jobs[key]
	l.writing = false
	if len(again) > 0 {
		l.waiting = append(slices.Clone(again), l.waiting...)
	}
	if len(l.waiting) > 0 {
		q.ready = append(q.ready, l)
	} else {
		delete(q.jobs, key)
	}
	q.changed.Signal()
}

// withdraw removes the events of a publication from a job's queue and returns them. It
// leaves an event that is being written.
func (q *queue) withdraw(key string, p *publication) []*event {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, found := q.jobs[key]
	if !found {
		return nil
	}
	var withdrawn []*event
	l.waiting = slices.DeleteFunc(l.waiting, func(e *event) bool {
		if e.request == p {
			withdrawn = append(withdrawn, e)
			return true
		}
		return false
	})
	if len(l.waiting) == 0 && !l.writing {
		q.ready = slices.DeleteFunc(q.ready, func(other *jobQueue) bool { return other == l })
		delete(q.jobs, key)
		q.changed.Signal()
	}
	return withdrawn
}

// isClosed reports whether the queue is closed.
func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// close makes add refuse events.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
