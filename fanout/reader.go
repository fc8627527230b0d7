package fanout

import (
	"context"
	"slices"
	"sync"
)

// reader brings the subscriptions of one sink that are behind up to their
// rooms' heads, in turn. Its goroutine runs only while there are any; it ends
// when the sink is done.
type reader struct {
	hub  *Hub
	sink sink
	// client is whom the slots of reads are shared with fairly; see [asker].
	client string

	mu      sync.Mutex // guards behind and running
	behind  []*subscription
	running bool
}

func newReader(hub *Hub, sink sink, client string) *reader {
	return &reader{hub: hub, sink: sink, client: client}
}

// add takes a subscription that is behind. It never blocks.
func (r *reader) add(sub *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = append(r.behind, sub)
	if r.running {
		return
	}
	r.running = r.hub.crew.spawn(r.run)
}

// remove takes out a subscription that has ended, if it waits.
func (r *reader) remove(sub *subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = slices.DeleteFunc(r.behind, func(waiting *subscription) bool { return waiting == sub })
}

// next takes the subscription that has waited longest, or ends the run.
func (r *reader) next() *subscription {
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

func (r *reader) run(ctx context.Context) {
	defer r.hub.guard.Recover("reader", r.sink.abort) // running stays set: nothing is read for the client any more
	for sub := r.next(); sub != nil; sub = r.next() {
		switch r.hub.advance(ctx, sub) {
		case outcomeReading:
			r.add(sub)
		case outcomeFull:
			r.add(sub)
			select {
			case <-r.sink.room():
			case <-r.sink.done():
			case <-ctx.Done():
			}
		}
	}
}
