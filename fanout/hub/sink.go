package hub

import "github.com/letswriteabook/realtime/messaging"

// Sink is the outgoing side of one client: a Socket.IO socket or an SSE stream.
// Its methods may be called concurrently; none of them blocks.
type Sink interface {
	// Offer queues an event. It returns false, and queues nothing, when the
	// queue is over its budget or the client has gone.
	Offer(ev *Event) bool
	// Send queues a control message, which may exceed the budget.
	Send(name string, payload any)
	// Reach notes that the client is given everything of a job up to the
	// sequence once what was queued before has arrived.
	Reach(jobID, epoch string, sequence uint64)
	// Stand tells the client that it has everything of a job up to a sequence, whose
	// event is not sent.
	Stand(epoch string, at messaging.CaughtUp)
	// Room is signalled when an offer was refused and the queue has drained
	// far enough to try again.
	Room() <-chan struct{}
	// Abort closes the client, whose events cannot be handled.
	Abort()
	// Done is closed when the client has gone.
	Done() <-chan struct{}
}
