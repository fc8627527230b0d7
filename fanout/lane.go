package fanout

import (
	"context"
	"slices"
	"sync"
)

// class says what a read of the history is for. Each class has slots of its own,
// so that costly reads of one class do not hold up the others.
type class int

const (
	// classFirst: where a subscription begins, and its first page.
	classFirst class = iota
	// classPage: the pages after that.
	classPage
	// classREST: what a REST client asks for.
	classREST
	// classTime: the same, where a bound on the time has to be searched for.
	classTime
)

// slotsOf bounds the reads of each class that are under way. One read holds a page
// at most, and takes a moment. At the bound further ones wait.
var slotsOf = [...]int{classFirst: 16, classPage: 32, classREST: 8, classTime: 2}

// asker is who a read is for.
type asker struct {
	class class
	// client is whom the slots are shared with fairly: the subject of a token, or a
	// network address.
	client string
	// gone is closed when the answer is no longer wanted; nil: that never happens.
	gone <-chan struct{}
}

// lane hands out the slots of one class. A client has half of them at most, and
// those that wait take turns by client, so that one with many requests does not
// delay another with few.
//
// Who waits is bounded by who may ask: each socket and event stream has one read
// under way, and the requests over REST are admitted.
type lane struct {
	share int // slots that one client may have

	mu     sync.Mutex // guards the fields below
	free   int
	held   map[string]int
	queues map[string][]chan struct{} // of each client that waits, first come first served
	turns  []string                   // the keys of queues; the next turn is the first's
}

func newLane(slots int) *lane {
	return &lane{
		share: (slots + 1) / 2, free: slots,
		held: make(map[string]int), queues: make(map[string][]chan struct{}),
	}
}

// enter waits for a slot. Unless it fails with the error of ctx, leave has to
// follow.
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
	case <-ready: // at the same moment
		l.release(client)
	default:
		l.forget(client, slices.Index(l.queues[client], ready))
	}
	return ctx.Err()
}

// leave gives a slot back.
func (l *lane) leave(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(client)
}

// release is leave with the mutex held.
func (l *lane) release(client string) {
	l.free++
	if l.held[client]--; l.held[client] == 0 {
		delete(l.held, client)
	}
	l.dispatch()
}

// dispatch gives free slots to those whose turn it is. The mutex is held.
func (l *lane) dispatch() {
	for i := 0; l.free > 0 && i < len(l.turns); {
		client := l.turns[i]
		if l.held[client] >= l.share {
			i++
			continue
		}
		l.free--
		l.held[client]++
		close(l.queues[client][0])
		l.turns = append(slices.Delete(l.turns, i, i+1), client) // to the end
		l.forget(client, 0)
	}
}

// forget takes one of a client's requests out of its queue. The mutex is held.
func (l *lane) forget(client string, i int) {
	queue := slices.Delete(l.queues[client], i, i+1)
	if len(queue) > 0 {
		l.queues[client] = queue
		return
	}
	delete(l.queues, client)
	l.turns = slices.DeleteFunc(l.turns, func(other string) bool { return other == client })
}
