package ingest

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// queue holds the events that wait for the log, in order for each job. A job has one
// write under way at a time, which keeps its order; take hands out what waits of jobs
// that have none.
//
// The queue is bounded by the [budget] that is taken before add.
type queue struct {
	mu sync.Mutex // guards the fields below
	// changed is signalled when take may have something to hand out.
	changed *sync.Cond
	// closed says that no more events are taken in.
	closed bool
	jobs   map[string]*jobQueue
	seed   maphash.Seed
	// ready are the jobs with events and no write under way, the one that has waited
	// longest first.
	ready []*jobQueue
}

// jobQueue is the events of one job, the oldest first.
type jobQueue struct {
	key     string
	waiting []*event
	// writing says that events of the job were handed out and are not done, and since is
	// when they were, or when one of them was last stored.
	writing bool
	since   time.Time
}

func newQueue() *queue {
	q := &queue{jobs: make(map[string]*jobQueue), seed: maphash.MakeSeed()}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// add puts an event at the end of a job's queue. It reports false after close, and has done
// nothing then.
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

// handout is what take hands out: events of several jobs that are written together, a
// slice for each job, and single events that are written apart.
type handout struct {
	together [][]*event
	apart    []*event
	// events counts those to be written together.
	events int
}

// take waits for events and hands out all that may be written now, at most maxEvents of
// maxBytes to be written together, of as many jobs as there are. Each job is given back
// with done, or with putBack. It reports false once the queue is closed and nothing
// waits or is being written.
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

// remove takes events off the front of a job that is being written; q.mu is held.
func (q *queue) remove(l *jobQueue, count int) {
	clear(l.waiting[:count]) // or the array would keep the payloads alive
	l.waiting = l.waiting[count:]
	l.writing, l.since = true, time.Now()
}

// advance notes that one of the events of a job that is being written was stored, and that
// others follow.
func (q *queue) advance(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.jobs[key]; l != nil {
		l.since = time.Now()
	}
}

// longest returns since when the job that has waited longest for a write that is under way
// waits; zero when there is none. Dead letters and canaries are no job's.
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

// collector chooses what is written together.
type collector struct {
	handout
	limit, maxBytes int
	bytes           int
	// names are those of the chosen events, and class is the largest batch that each of
	// them may be in.
	names map[uint64]struct{}
	class int
	seed  maphash.Seed
}

// collect returns how many events of a job's front are written together with what was
// collected before, or that the first has to be written by itself.
func (c *collector) collect(waiting []*event) (taken int, alone bool) {
	if first := waiting[0]; first.standsAlone() || first.largest == 1 {
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

// name returns a hash of what makes an event the same as another: its message id, or
// its payload where it has none. The log does not take the same id twice in a batch, and
// of one payload one event at a time has an ordinal.
func (c *collector) name(e *event) uint64 {
	if e.record.MessageID == "" {
		return maphash.Bytes(c.seed, e.record.Body)
	}
	return maphash.Comparable(c.seed, [2]string{e.record.JobID, e.record.MessageID})
}

// done ends the writing of a job.
func (q *queue) done(key string) { q.putBack(key, nil) }

// putBack ends the writing of a job, of which some events have to be written again: they
// go to its front.
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

// withdraw takes the events of a publication out of a job's queue and returns them. They are
// not written; one that is being written is not among them.
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

// isClosed reports whether add refuses.
func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// close makes add refuse.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
