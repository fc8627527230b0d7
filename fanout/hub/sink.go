package hub

import "github.com/letswriteabook/realtime/messaging"

// Sink is the outgoing side of one client: a Socket.IO socket or an SSE stream.
// Its methods may be called concurrently; none of them blocks.
type Sink interface {
	// Offer queues an event. It returns false, and queues nothing, when the queue is over
	// its budget or the client has disconnected.
	Offer(ev *Event) bool
	// Send queues a control message, which may exceed the budget.
	Send(name string, payload any)
	// Reach records that the client will have everything of a job up to the sequence once it
	// has received what was queued before.
	Reach(jobID, epoch string, sequence uint64)
	// SendPosition tells the client that it has everything of a job up to a sequence whose event
	// is not sent.
	SendPosition(epoch string, at messaging.CaughtUp)
	// Room receives a signal when an offer was refused and the queue has drained far enough to
	// offer again.
	Room() <-chan struct{}
	// Abort disconnects the client after a panic in the work for it.
	Abort()
	// Done is closed when the client has disconnected.
	Done() <-chan struct{}
}
