package ingest

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
)

// event is one event on its way to the log: the record of an accepted one, the dead
// letter of a refused one, or a canary. It belongs to the queue while it waits, and then to the
// goroutine that stores it.
type event struct {
	record messaging.Record
	// receivedAt is when the event arrived here; zero for a dead letter.
	receivedAt time.Time
	// via is the connection that the event was received on; nil over HTTP.
	via *connection
	// request is the publication over HTTP that the event is line number line of; nil
	// for an event from Redis.
	request *publication
	line    int
	// letter is nil for an accepted event. refusal is published once the letter is
	// stored; nil without one.
	letter  *messaging.DeadLetter
	refusal *messaging.Refusal
	// canary is the text of a canary, which is no event; empty for all others.
	canary string

	// sizeBytes is what the event has taken of budget.
	budget    *budget
	sizeBytes int
	// largest is the largest batch that may hold the event: 0 for any, 1 for none. A
	// batch that was refused is tried again in smaller ones.
	largest int
	// identity is taken while an event without an id is in a batch.
	identity *identity
	// floor is the sequence at or below which a duplicate of it is an earlier publish.
	floor uint64
	// uncertain says that the outcome of an attempt is unknown.
	uncertain bool
	// settled says that the event has ended.
	settled bool
	// key is that of its queue: its job, or one of dead letters.
	key string
}

// begin reports whether an event is still wanted, and notes for its request that the log
// has it in hand.
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

// standsAlone reports whether what is stored is no record, which a batch has none of.
func (e *event) standsAlone() bool { return e.isLetter() || e.canary != "" }

// newEvent returns the event of a payload that Redis delivered: a record, or a dead
// letter. It runs on the reading goroutine, in the order of arrival.
func (i *Ingest) newEvent(payload string, via *connection) *event {
	i.metrics.read(len(payload))
	if len(payload) > i.cfg.MaxEventBytes {
		// Not copied in full: it may be as large as Redis lets it be.
		return i.newLetter(tooLarge(len(payload), i.cfg.MaxEventBytes), payload)
	}
	envelope, err := i.catalogue.Decode([]byte(payload), i.cfg.MaxEventBytes)
	if err != nil {
		return i.newLetter(rejectionOf(err), payload)
	}
	now := time.Now()
	i.metrics.arrived(envelope.EmittedAt, now)
	return &event{record: envelope.Record(now), receivedAt: now, via: via, budget: i.budget, sizeBytes: len(payload)}
}

// receive puts an event from Redis into the queue, and waits for room before.
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
		i.budget.force(e.sizeBytes) // it was read, and the reader stops anyway
	}
	// Not refused: the queue is closed after the reader has stopped.
	i.queue.add(e.record.JobID, e)
}

// settle ends an event: its room goes back to the budget, and its request is told.
func (e *event) settle() {
	if e.settled {
		return
	}
	e.settled = true
	e.budget.give(e.sizeBytes)
	if e.request != nil {
		e.request.end()
	}
}
