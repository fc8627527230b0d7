package fanout

// sink is the outgoing side of one client: a Socket.IO socket or an SSE stream.
// Its methods may be called concurrently; none of them blocks.
type sink interface {
	// offer queues an event. It returns false, and queues nothing, when the
	// queue is over its budget or the client has gone.
	offer(ev *event) bool
	// send queues a control message, which may exceed the budget.
	send(name string, payload any)
	// reach notes that the client is given everything of a job up to the
	// sequence once what was queued before has arrived.
	reach(jobID, epoch string, sequence uint64)
	// stand tells the client that it has everything of a job up to the sequence, whose
	// event is not sent.
	stand(jobID, epoch string, sequence uint64)
	// room is signalled when an offer was refused and the queue has drained
	// far enough to try again.
	room() <-chan struct{}
	// abort closes the client, whose events cannot be handled.
	abort()
	// done is closed when the client has gone.
	done() <-chan struct{}
}
