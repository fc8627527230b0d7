package hub

import (
	"context"
	"slices"
	"sync"
)

// Reader brings the subscriptions of one sink that are behind to their rooms' heads, in
// turn. Its goroutine runs only while there are any, and ends with the sink.
type Reader struct {
	hub  *Hub
	sink Sink
	// client has a fair share of the slots of reads; see [asker].
	client string

	mu      sync.Mutex // guards behind and running
	behind  []*Subscription
	running bool
}

// NewReader returns the reader of a sink. Its reads use the client's fair share of the
// slots; client is the subject of a token, or a network address.
func NewReader(hub *Hub, sink Sink, client string) *Reader {
	return &Reader{hub: hub, sink: sink, client: client}
}

// Subscribe opens the job's room if there is none, and starts a subscription. The caller
// ends it.
func (r *Reader) Subscribe(jobID string, from Start) (*Subscription, error) {
	target, err := r.hub.enter(jobID, r.client)
	if err != nil {
		return nil, err
	}
	sub := &Subscription{room: target, sink: r.sink, reader: r, start: from}
	r.add(sub)
	return sub, nil
}

// add queues a subscription that is behind. It never blocks.
func (r *Reader) add(sub *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = append(r.behind, sub)
	if r.running {
		return
	}
	r.running = r.hub.crew.spawn(r.run)
}

// remove takes a subscription that has ended out of the queue.
func (r *Reader) remove(sub *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = slices.DeleteFunc(r.behind, func(waiting *Subscription) bool { return waiting == sub })
}

// next takes the subscription that has waited longest. Without one it ends the run, and
// returns nil.
func (r *Reader) next() *Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.behind) == 0 {
		r.behind, r.running = nil, false
		return nil
	}
	sub := r.behind[0]
	r.behind[0] = nil
	r.behind = r.behind[1:]
	return sub
}

func (r *Reader) run(ctx context.Context) {
	// After a panic, running stays set, so that nothing more is read for the client.
	defer r.hub.guard.Recover("reader", r.sink.Abort)
	for sub := r.next(); sub != nil; sub = r.next() {
		switch r.hub.turn(ctx, sub) {
		case outcomeReading:
			r.add(sub)
		case outcomeFull:
			r.add(sub)
			select {
			case <-r.sink.Room():
			case <-r.sink.Done():
			case <-ctx.Done():
			}
		}
	}
}
