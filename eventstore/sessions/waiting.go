package sessions

import (
	"container/list"
	"sync"
)

// waitingOverheadBytes is what a session that waits counts beside its state.
const waitingOverheadBytes = 256

// save is what is to be done with the state of one session.
type save struct {
	id    string
	state []byte
	// removed says that the state is to be removed, and that state is nil.
	removed bool
}

// pending is the newest save of a session that waits.
type pending struct {
	save
	// place is where it stands in the queue; nil while a writer has taken it.
	place *list.Element
	// again says that it was replaced while a writer had taken it.
	again bool
}

// waiting is the sessions that wait to be stored, each with its newest state
// alone. Of one session a single save is in a writer's hands at a time, which
// keeps their order. A session that is saved again while it is in the queue keeps
// its place, so that none is put off for ever.
type waiting struct {
	maxBytes int

	// mu guards the fields below.
	mu sync.Mutex
	// sessions are those in the queue and those that a writer has taken.
	sessions map[string]*pending
	// queue holds the pending that no writer has taken, the oldest first.
	queue list.List
	// bytes is what sessions count together.
	bytes int
}

func newWaiting(maxBytes int) *waiting {
	return &waiting{maxBytes: maxBytes, sessions: make(map[string]*pending)}
}

// put replaces the session's save and returns how many it dropped to stay within
// the bound. What a writer has taken cannot be dropped; there are few of those.
func (w *waiting) put(id string, state []byte, removed bool) (dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sessions[id]
	if p == nil {
		p = &pending{save: save{id: id}}
		p.place = w.queue.PushBack(p)
		w.sessions[id] = p
		w.bytes += waitingOverheadBytes
	}
	p.again = p.place == nil
	w.replace(p, state, removed)
	for w.bytes > w.maxBytes {
		front := w.queue.Front()
		if front == nil {
			break
		}
		dropped++
		oldest := front.Value.(*pending)
		if oldest.removed {
			w.queue.Remove(front)
			w.remove(oldest)
			continue
		}
		w.replace(oldest, nil, true)
		w.queue.MoveToBack(front)
	}
	return dropped
}

// take hands the oldest save in the queue to a writer, who must settle it, and
// tells whether there are more.
func (w *waiting) take() (next save, more, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	front := w.queue.Front()
	if front == nil {
		return save{}, false, false
	}
	p := front.Value.(*pending)
	w.queue.Remove(front)
	p.place = nil
	return p.save, w.queue.Len() > 0, true
}

// stored settles a save that was taken: it is done. It tells whether nothing
// waits any more.
func (w *waiting) stored(id string) (empty bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sessions[id]
	if p.again {
		p.again, p.place = false, w.queue.PushBack(p)
		return false
	}
	w.remove(p)
	return len(w.sessions) == 0
}

// failed settles a save that was taken: it, or what replaced it meanwhile, is the
// oldest again.
func (w *waiting) failed(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sessions[id]
	p.again, p.place = false, w.queue.PushFront(p)
}

// refused settles a save that was taken: its state can never be stored, and the
// earlier one is removed instead, unless the session was saved again meanwhile.
func (w *waiting) refused(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sessions[id]
	if !p.again {
		w.replace(p, nil, true)
	}
	p.again, p.place = false, w.queue.PushBack(p)
}

// newest returns the session's save, if one waits.
func (w *waiting) newest(id string) (state []byte, removed, waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sessions[id]
	if p == nil {
		return nil, false, false
	}
	return p.state, p.removed, true
}

// count returns how many sessions wait.
func (w *waiting) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sessions)
}

// replace gives a session another save. mu is held.
func (w *waiting) replace(p *pending, state []byte, removed bool) {
	w.bytes += len(state) - len(p.state)
	p.state, p.removed = state, removed
}

// remove ends a session's wait. mu is held.
func (w *waiting) remove(p *pending) {
	w.bytes -= waitingOverheadBytes + len(p.state)
	delete(w.sessions, p.id)
}
