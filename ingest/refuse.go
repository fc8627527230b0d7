package ingest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// maxDetailBytes bounds the explanation of a refusal, which is sent in a header of a dead
// letter and for each line of an answer.
const maxDetailBytes = 1024

// source names the origin of an event in its dead letter.
const source = "redis:" + messaging.EventsChannel

// tooLarge returns the rejection of an event of sizeBytes.
func tooLarge(sizeBytes, limit int) *messaging.Rejection {
	return &messaging.Rejection{
		Reason: messaging.ReasonTooLarge,
		Detail: fmt.Sprintf("%d bytes, at most %d are allowed", sizeBytes, limit),
	}
}

// rejectionOf returns the rejection in an error of the catalogue.
func rejectionOf(err error) *messaging.Rejection {
	var rejection *messaging.Rejection
	if !errors.As(err, &rejection) {
		rejection = &messaging.Rejection{Reason: messaging.ReasonSchemaViolation, Detail: err.Error()}
	}
	return rejection
}

// newLetter returns the dead letter of an event that cannot be accepted.
func (i *Ingest) newLetter(rejection *messaging.Rejection, payload string) *event {
	letter := i.deadLetter(rejection, payload)
	return &event{letter: &letter, budget: i.letters.budget, sizeBytes: len(letter.Body)}
}

// deadLetter counts a refusal and returns its dead letter with a copy of the payload, cut
// to the size that may be kept.
func (i *Ingest) deadLetter(rejection *messaging.Rejection, payload string) messaging.DeadLetter {
	i.metrics.rejected.WithLabelValues(string(rejection.Reason)).Inc()
	i.rejectLog.Do(func() {
		var trace []any
		if len(payload) <= i.cfg.MaxEventBytes {
			trace = messaging.TraceAttrs(messaging.TraceParentOf([]byte(payload)))
		}
		i.logger.Warn("an event was refused and dead-lettered", append([]any{"reason", rejection.Reason, "bytes", len(payload)}, trace...)...)
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
