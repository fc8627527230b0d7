package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// maxDetailBytes bounds the explanation of a refusal, which travels in a header of
// a dead letter, or once per line in an answer.
const maxDetailBytes = 1024

// source names, in dead letters, where an event came from.
const source = "redis:" + messaging.EventsChannel

// delivery is one event from Redis on its way to the log: a record, or the dead
// letter of one that was refused.
type delivery struct {
	record messaging.Record
	// letter is nil for an accepted event.
	letter *messaging.DeadLetter
	// via is the connection that the event came through.
	via *connection
	// sizeBytes is what the delivery has taken of the budget.
	sizeBytes int
}

// deliver takes in one payload: it waits for room in the budget and puts the
// event into its lane.
func (i *Ingest) deliver(ctx context.Context, payload string, via *connection) {
	defer i.guard.Recover("delivery", nil)
	d, lane := i.accept(payload)
	if d.letter != nil {
		i.bury(ctx, *d.letter, nil)
		return
	}
	d.via = via
	if !i.budget.take(ctx, d.sizeBytes) {
		i.budget.force(d.sizeBytes) // it was read, and the reader stops anyway
	}
	// Not refused: the lanes are closed after the reader has stopped.
	i.lanes.add(lane, turn{
		store:     func(ctx context.Context) { i.process(ctx, d) },
		budget:    i.budget,
		sizeBytes: d.sizeBytes,
	})
}

// accept decodes one payload into a delivery and chooses its lane. It runs on
// the reading goroutine, in the order of arrival.
func (i *Ingest) accept(payload string) (d delivery, lane string) {
	i.metrics.read(len(payload))

	if len(payload) > i.cfg.MaxEventBytes {
		// Not copied in full: it may be as large as Redis lets it be.
		return i.refuse(&messaging.Rejection{
			Reason: messaging.ReasonTooLarge,
			Detail: fmt.Sprintf("%d bytes, at most %d are allowed", len(payload), i.cfg.MaxEventBytes),
		}, payload)
	}
	envelope, err := i.catalogue.Decode([]byte(payload), i.cfg.MaxEventBytes)
	if err != nil {
		return i.refuse(rejectionOf(err), payload)
	}
	return delivery{record: envelope.Record(time.Now()), sizeBytes: len(payload)}, envelope.JobID
}

// rejectionOf returns the rejection that an error of the catalogue is.
func rejectionOf(err error) *messaging.Rejection {
	var rejection *messaging.Rejection
	if !errors.As(err, &rejection) {
		rejection = &messaging.Rejection{Reason: messaging.ReasonSchemaViolation, Detail: err.Error()}
	}
	return rejection
}

// refuse makes a delivery of an event that cannot be accepted.
func (i *Ingest) refuse(rejection *messaging.Rejection, payload string) (d delivery, lane string) {
	letter := i.deadLetter(rejection, payload)
	return delivery{letter: &letter}, ""
}

// deadLetter counts a refusal and returns its dead letter, with a copy of the
// payload, or of as much of its beginning as may be kept.
func (i *Ingest) deadLetter(rejection *messaging.Rejection, payload string) messaging.DeadLetter {
	i.metrics.rejected.WithLabelValues(string(rejection.Reason)).Inc()
	i.rejectLog.Do(func() {
		i.logger.Warn("an event was refused and dead-lettered", "reason", rejection.Reason, "bytes", len(payload))
	})
	detail := rejection.Detail
	kept := payload[:min(len(payload), i.cfg.MaxDeadLetterBytes)]
	if len(kept) < len(payload) {
		detail = fmt.Sprintf("the first %d of %d bytes: %s", len(kept), len(payload), detail)
	}
	return messaging.DeadLetter{
		Reason: rejection.Reason,
		Detail: shorten(detail),
		Source: source,
		At:     time.Now(),
		Body:   []byte(kept),
	}
}

// shorten returns at most maxDetailBytes of an explanation.
func shorten(detail string) string {
	return strings.ToValidUTF8(detail[:min(len(detail), maxDetailBytes)], "")
}
