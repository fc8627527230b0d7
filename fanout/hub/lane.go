package hub

import (
	"container/heap"
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

// asker identifies for whom a read is done. It is used for one read at a time.
type asker struct {
	class class
	// claim is for those who wait for the read. Each client has a fair share of the
	// slots: it is the subject of a token, or a network address.
	claim *claim
	// done is closed when the answer is no longer wanted; nil: it always is.
	done <-chan struct{}
}

// claim asks a lane for a unit, for one client, or for several that wait for the same
// work. It waits in the queue of each of them, and takes the first unit that one of them
// is given: a client that waits for the work of another one waits no longer than if it had
// asked alone.
type claim struct {
	// The fields are guarded by the mutex of the lane.

	// clients has how many requests of each client wait for the work. It is nil once
	// nobody waits for it any more.
	clients map[string]int
	// ready is closed when the claim has a unit. It is nil unless the claim waits.
	ready chan struct{}
	// payer is the client whose share the unit was taken from.
	payer string
	// joined is the claim of a read that was under way and is shared, nil without one.
	joined *claim
}

// claimOf returns the claim of one request.
func claimOf(client string) *claim { return &claim{clients: map[string]int{client: 1}} }

// lane hands out what clients share: the slots of one class, or bytes. Each claim takes
// one unit. A client has at most its share, and waiting clients take turns, so that one
// with many requests does not delay another with few.
//
// The waiting claims are bounded elsewhere: each socket and event stream has one read under
// way, and requests over REST pass admission.
type lane struct {
	unit  int64 // what one claim takes
	share int64 // what one client may have

	mu     sync.Mutex // guards the fields below, and those of the claims
	free   int64
	held   map[string]int64
	queues map[string]*queue // of each client that waits
	turns  turns             // those of the clients that may have another unit
	turn   uint64            // the last turn that was given out
}

// queue has the claims of one client, in the order of their arrival.
type queue struct {
	client string
	claims []*claim
	turn   uint64 // the client's next one, by its number
	index  int    // in the lane's turns, or outside
}

// outside is the index of a queue whose client has its share.
const outside = -1

// turns is a heap of queues (see container/heap), the one whose turn is next in front.
type turns []*queue

func (t turns) Len() int           { return len(t) }
func (t turns) Less(i, j int) bool { return t[i].turn < t[j].turn }

func (t turns) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

func (t *turns) Push(added any) {
	q := added.(*queue)
	q.index = len(*t)
	*t = append(*t, q)
}

func (t *turns) Pop() any {
	last := len(*t) - 1
	q := (*t)[last]
	q.index = outside
	(*t)[last] = nil
	*t = (*t)[:last]
	return q
}

// newLane returns a lane of slots. One client may have half of them.
func newLane(slots int64) *lane { return newSharedLane(slots, 1, (slots+1)/2) }

func newSharedLane(all, unit, share int64) *lane {
	return &lane{
		unit: unit, share: max(share, unit), free: all,
		held: make(map[string]int64), queues: make(map[string]*queue),
	}
}

// enter waits for one unit. Unless it fails with the error of ctx, the caller has to give
// the whole unit back with leave.
func (l *lane) enter(ctx context.Context, client string) error { return l.wait(ctx, claimOf(client)) }

// wait waits for one unit for a claim. Unless it fails with the error of ctx, the caller
// has to give the whole unit back with leave, for the client that is the payer. A claim
// that no client waits for gets none before there is one.
func (l *lane) wait(ctx context.Context, c *claim) error {
	ready := make(chan struct{})
	l.mu.Lock()
	c.ready = ready
	for client := range c.clients {
		l.queue(client, c)
	}
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
		l.release(c.payer, l.unit)
	default:
		l.unqueue(c)
	}
	return ctx.Err()
}

// support notes that a client waits for the work of a claim, too.
func (l *lane) support(c *claim, client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(c, client, 1)
	if c.joined != nil {
		l.add(c.joined, client, 1)
	}
	l.dispatch()
}

// withdraw takes back what support has noted.
func (l *lane) withdraw(c *claim, client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c, client, 1)
	if c.joined != nil {
		l.remove(c.joined, client, 1)
	}
}

// join notes that the clients of a claim wait for the work of another one.
func (l *lane) join(c, other *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.joined = other
	for client, n := range c.clients {
		l.add(other, client, n)
	}
	l.dispatch()
}

// part takes back what join has noted.
func (l *lane) part(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for client, n := range c.clients {
		l.remove(c.joined, client, n)
	}
	c.joined = nil
}

// settle records that the work of a claim is done, and that no caller waits for it.
func (l *lane) settle(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.clients = nil
}

// add adds n requests of a client to a claim. The mutex is held.
func (l *lane) add(c *claim, client string, n int) {
	if c.clients == nil {
		return
	}
	if c.clients[client] == 0 && c.ready != nil {
		l.queue(client, c)
	}
	c.clients[client] += n
}

// remove removes n requests of a client from a claim. The mutex is held.
func (l *lane) remove(c *claim, client string, n int) {
	if c.clients[client] == 0 {
		return
	}
	if c.clients[client] -= n; c.clients[client] > 0 {
		return
	}
	delete(c.clients, client)
	if c.ready != nil {
		l.forget(client, c)
	}
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
	if q := l.queues[client]; q != nil {
		l.place(q)
	}
	l.dispatch()
}

// place puts a queue among the turns if its client may have another unit, and takes it out
// otherwise. The mutex is held.
func (l *lane) place(q *queue) {
	allowed := l.held[q.client]+l.unit <= l.share
	switch {
	case allowed && q.index == outside:
		heap.Push(&l.turns, q)
	case allowed:
		heap.Fix(&l.turns, q.index)
	case q.index != outside:
		heap.Remove(&l.turns, q.index)
	}
}

// dispatch gives free units to the clients whose turn it is. The mutex is held.
func (l *lane) dispatch() {
	for l.free >= l.unit && len(l.turns) > 0 {
		q := l.turns[0]
		l.free -= l.unit
		l.held[q.client] += l.unit
		c := q.claims[0]
		c.payer = q.client
		close(c.ready)
		q.turn = l.nextTurn()
		l.place(q)
		l.unqueue(c)
	}
}

// nextTurn returns the number of a turn after all others. The mutex is held.
func (l *lane) nextTurn() uint64 {
	l.turn++
	return l.turn
}

// queue puts a claim at the end of a client's queue. The mutex is held.
func (l *lane) queue(client string, c *claim) {
	q := l.queues[client]
	if q == nil {
		q = &queue{client: client, turn: l.nextTurn(), index: outside}
		l.queues[client] = q
		l.place(q)
	}
	q.claims = append(q.claims, c)
}

// unqueue takes a claim out of the queues of all its clients. The mutex is held.
func (l *lane) unqueue(c *claim) {
	c.ready = nil
	for client := range c.clients {
		l.forget(client, c)
	}
}

// forget takes a claim out of the queue of a client. The mutex is held.
func (l *lane) forget(client string, c *claim) {
	q := l.queues[client]
	if q == nil {
		return
	}
	if q.claims[0] == c { // as in its turn
		q.claims[0] = nil
		q.claims = q.claims[1:]
	} else {
		q.claims = slices.DeleteFunc(q.claims, func(other *claim) bool { return other == c })
	}
	if len(q.claims) > 0 {
		return
	}
	delete(l.queues, client)
	if q.index != outside {
		heap.Remove(&l.turns, q.index)
	}
}
