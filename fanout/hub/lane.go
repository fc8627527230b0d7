package hub

import (
	"context"
	"slices"
	"sync"
)

// class says what a read of the history is for. Each class has its own slots, so that
// costly reads of one class do not delay the others.
type class int

const (
	// classFirst: where a subscription begins, and its first page.
	classFirst class = iota
	// classPage: the pages after that.
	classPage
	// classREST: a page over REST.
	classREST
	// classTime: a page over REST with a bound on the time, which has to be searched for.
	classTime
)

// slotsOf bounds the concurrent reads of each class. A read holds one page at most. At the
// bound further reads wait.
var slotsOf = [...]int64{classFirst: 16, classPage: 32, classREST: 8, classTime: 2}

// asker is who a read is for.
type asker struct {
	class class
	// client has a fair share of the slots: the subject of a token, or a network address.
	client string
	// done is closed when the answer is no longer wanted; nil: it always is.
	done <-chan struct{}
}

// lane hands out what clients share: the slots of one class, or bytes. Each request takes
// one unit. A client has at most its share, and waiting clients take turns, so that one
// with many requests does not delay another with few.
//
// Who waits is bounded by who may ask: each socket and event stream has one read
// under way, and the requests over REST are admitted.
type lane struct {
	unit  int64 // what one entrant takes
	share int64 // what one client may have

	mu     sync.Mutex // guards the fields below
	free   int64
	held   map[string]int64
	queues map[string][]chan struct{} // of each client that waits, first come first served
	turns  []string                   // the keys of queues; the next turn is the first's
}

// newLane returns a lane of slots. One client may have half of them.
func newLane(slots int64) *lane { return newSharedLane(slots, 1, (slots+1)/2) }

func newSharedLane(all, unit, share int64) *lane {
	return &lane{
		unit: unit, share: max(share, unit), free: all,
		held: make(map[string]int64), queues: make(map[string][]chan struct{}),
	}
}

// enter waits for one unit. Unless it fails with the error of ctx, the caller has to give
// the whole unit back with leave.
func (l *lane) enter(ctx context.Context, client string) error {
	ready := make(chan struct{})
	l.mu.Lock()
	if _, waits := l.queues[client]; !waits {
		l.turns = append(l.turns, client)
	}
	l.queues[client] = append(l.queues[client], ready)
	l.dispatch()
	l.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-ready: // at the moment at which ctx ended
		l.release(client, l.unit)
	default:
		l.forget(client, slices.Index(l.queues[client], ready))
	}
	return ctx.Err()
}

// leave gives back a unit, or a part of one.
func (l *lane) leave(client string, amount int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(client, amount)
}

// release is leave with the mutex held.
func (l *lane) release(client string, amount int64) {
	l.free += amount
	if l.held[client] -= amount; l.held[client] == 0 {
		delete(l.held, client)
	}
	l.dispatch()
}

// dispatch gives free units to the clients whose turn it is. The mutex is held.
func (l *lane) dispatch() {
	for i := 0; l.free >= l.unit && i < len(l.turns); {
		client := l.turns[i]
		if l.held[client]+l.unit > l.share {
			i++
			continue
		}
		l.free -= l.unit
		l.held[client] += l.unit
		close(l.queues[client][0])
		l.turns = append(slices.Delete(l.turns, i, i+1), client) // to the end
		l.forget(client, 0)
	}
}

// forget removes one of a client's requests from its queue. The mutex is held.
func (l *lane) forget(client string, i int) {
	queue := slices.Delete(l.queues[client], i, i+1)
	if len(queue) > 0 {
		l.queues[client] = queue
		return
	}
	delete(l.queues, client)
	l.turns = slices.DeleteFunc(l.turns, func(other string) bool { return other == client })
}
