package ingest

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// event is one event on its way to the log: the record of an accepted event, the dead
// letter of a refused one, or a canary. It belongs to the queue while it waits, and then to
// the goroutine that stores it.
type event struct {
	record messaging.Record
	// receivedAt is when the event arrived at this process; zero for a dead letter.
	receivedAt time.Time
	// via is the connection on which the event was received; nil over HTTP.
	via *connection
	// request is the publication over HTTP in which the event has the index line; nil for an
	// event from Redis.
	request *publication
	line    int
	// letter is nil for an accepted event. refusal is published once the letter is stored;
	// it may be nil.
	letter  *messaging.DeadLetter
	refusal *messaging.Refusal
	// late is true once an attempt to store the letter has failed.
	late bool
	// canary is the text of a canary; empty for events.
	canary string

	// sizeBytes is what the event has booked in budget.
	budget    *budget
	sizeBytes int
	// largest is the size of the largest batch that may hold the event; 0 is any size, and 1
	// means that the event is stored by itself. The events of a refused batch are tried
	// again in smaller batches.
	largest int
	// identity is set while an event without an id is in a batch.
	identity *identity
	// floor is the highest sequence at which a duplicate of the event is an earlier publish.
	floor uint64
	// uncertain is true if an attempt ended with an unknown outcome.
	uncertain bool
	// settled is true once the event has ended.
	settled bool
	// span is the context of the event's span; empty without one. endSpan ends the span, and
	// is nil after that.
	span    string
	endSpan func(messaging.Receipt, error)
	// key is the key of its queue: its job, or that of the dead letters or of the canaries.
	key string
}

// begin reports whether the event is still wanted, and records in its request that the log
// was asked to store it.
func (e *event) begin() bool {
	if e.request == nil {
		return true
	}
	if e.request.asked.Err() != nil {
		return false
	}
	e.request.set(e.line, outcome{problem: problemUnconfirmed})
	return true
}

// isLetter reports whether the event is a dead letter.
func (e *event) isLetter() bool { return e.letter != nil }

// unbatched reports whether the event is a canary, which a batch cannot hold.
func (e *event) unbatched() bool { return e.canary != "" }

// newEvent returns the event of a payload that Redis delivered: a record or a dead
// letter. The reading goroutine calls it in the order of arrival.
func (i *Ingest) newEvent(payload string, via *connection) *event {
	i.metrics.read(len(payload))
	if len(payload) > i.cfg.MaxEventBytes {
		// newLetter copies only the beginning: Redis allows payloads of any size.
		return i.newLetter(tooLarge(len(payload), i.cfg.MaxEventBytes), payload)
	}
	arrived, body := i.arrival(), []byte(payload)
	envelope, err := i.catalogue.Decode(body, i.cfg.MaxEventBytes)
	if err != nil {
		rejection := rejectionOf(err)
		i.refusedSpan(body, systemRedis, messaging.EventsChannel, rejection.Reason, arrived)
		return i.newLetter(rejection, payload)
	}
	now := time.Now()
	i.metrics.arrived(envelope.EmittedAt, now)
	e := &event{record: envelope.Record(now), receivedAt: now, via: via, budget: i.budget, sizeBytes: len(payload)}
	i.beginSpan(e, systemRedis, messaging.EventsChannel, arrived, now)
	return e
}

// receive waits for room and queues an event from Redis.
func (i *Ingest) receive(ctx context.Context, message *redis.Message, via *connection) {
	defer i.guard.Recover("delivery", nil)
	if message.Channel != messaging.EventsChannel {
		i.receiveCanary(ctx, message.Payload)
		return
	}
	e := i.newEvent(message.Payload, via)
	defer i.canaries.pass(stageRead, 1)
	if e.isLetter() {
		i.bury(ctx, e)
		return
	}
	if !i.budget.take(ctx, e.sizeBytes) {
		i.budget.force(e.sizeBytes) // the event was read already, and the reader is stopping
	}
	// add succeeds: the queue is closed only after the reader has stopped.
	i.queue.add(e.record.JobID, e)
}

// settle ends an event: it returns the room to the budget and counts the line of the request.
func (e *event) settle() {
	if e.settled {
		return
	}
	e.settled = true
	e.finishSpan(messaging.Receipt{}, errUnfinished)
	e.budget.give(e.sizeBytes)
	if e.request != nil {
		e.request.end()
	}
}
