package ingest

import (
	"context"
	"sync"
)

// turn is one event that waits in a lane.
type turn struct {
	// store brings the event to its end: stored, refused, or given up soon after
	// ctx has ended.
	store func(ctx context.Context)
	// sizeBytes is what the event has taken of budget, which gets it back.
	budget    *budget
	sizeBytes int
	// batch may withdraw the event as long as it waits; nil for an event that
	// nobody does.
	batch *batch
}

// lanes runs the turns of one key one after another, in the order in which they
// were added, and those of different keys at the same time.
//
// A lane is a queue and a goroutine that ends when the queue is empty. The
// queues are bounded together, by the [budget] that is taken before add; so are
// the goroutines, of which each has at least one turn in hand.
type lanes struct {
	process func(turn)
	running sync.WaitGroup

	mu sync.Mutex // guards the fields below, and the adding to running
	// closed says that no more turns are taken.
	closed bool
	// queues has a key for each running lane; a queue does not hold the turn
	// that is being processed.
	queues map[string][]turn
}

func newLanes(process func(turn)) *lanes {
	return &lanes{process: process, queues: make(map[string][]turn)}
}

// add queues a turn, and starts the lane if it does not run. It reports false
// after close, and has done nothing then.
func (l *lanes) add(key string, t turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	queue, running := l.queues[key]
	l.queues[key] = append(queue, t)
	if !running {
		l.running.Go(func() { l.run(key) }) // ends when its queue is empty
	}
	return true
}

// withdraw takes the turns of a batch out of a lane's queue and returns them.
// They are not processed; one that is being processed is not among them.
func (l *lanes) withdraw(key string, b *batch) []turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, running := l.queues[key]
	if !running {
		return nil
	}
	var withdrawn []turn
	kept := queue[:0]
	for _, t := range queue {
		if t.batch == b {
			withdrawn = append(withdrawn, t)
		} else {
			kept = append(kept, t)
		}
	}
	clear(queue[len(kept):])
	l.queues[key] = kept
	return withdrawn
}

// close makes add refuse, and returns when all lanes have ended.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.running.Wait()
}

func (l *lanes) run(key string) {
	for {
		t, ok := l.next(key)
		if !ok {
			return
		}
		l.process(t)
	}
}

// next takes the head of the queue, or removes the lane when there is none.
func (l *lanes) next(key string) (turn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.queues[key]
	if len(queue) == 0 {
		delete(l.queues, key)
		return turn{}, false
	}
	head := queue[0]
	queue[0] = turn{} // or the array would keep the payload alive
	l.queues[key] = queue[1:]
	return head, true
}
