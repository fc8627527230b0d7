package ingest

import (
	"errors"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Tracer records the stages of events up to the log as spans. Its methods must not block, and are
// called from many goroutines.
type Tracer interface {
	// Received begins the span of a record that arrived from a system and a source at the time
	// arrived, and whose validation ended at the time decoded. It returns the span's W3C trace context, and a function
	// that ends the span, which is called once. It returns "" and nil if there is no span.
	Received(record messaging.Record, system, source string, arrived, decoded time.Time) (span string, end func(messaging.Receipt, error))
	// Refused records an event that was refused when it arrived. traceParent is not empty.
	Refused(traceParent, system, source, reason string, arrived time.Time)
	// Written records one write to the log of batch events. spans are those of the events
	// that have one, at least 1.
	Written(spans []string, batch int, began, ended time.Time, err error)
}

// Where events arrive, for their spans.
const (
	systemRedis = "redis"
	systemHTTP  = "http"
	sourceHTTP  = "/api/realtime/events"
)

// errUnfinished is recorded in the span of an event that ended without an outcome, because
// its request was over.
var errUnfinished = errors.New("the event was withdrawn or given up")

// Trace makes i report to a tracer. It must be called before [Ingest.Run] and before the
// first request.
func (i *Ingest) Trace(tracer Tracer) { i.tracer = tracer }

// arrival returns the time at which an event arrives, or the zero time without a tracer.
func (i *Ingest) arrival() time.Time {
	if i.tracer == nil {
		return time.Time{}
	}
	return time.Now()
}

// beginSpan begins the span of an event. The record of an event without a trace context gets
// that of the span, so that later stages continue the trace that begins here.
func (i *Ingest) beginSpan(e *event, system, source string, arrived, decoded time.Time) {
	if i.tracer == nil {
		return
	}
	e.span, e.endSpan = i.tracer.Received(e.record, system, source, arrived, decoded)
	if e.record.TraceParent == "" {
		e.record.TraceParent = e.span
	}
}

// refusedSpan records the refusal of an event in the trace that it names, if any.
func (i *Ingest) refusedSpan(payload []byte, system, source string, reason messaging.Reason, arrived time.Time) {
	if i.tracer == nil || len(payload) > i.cfg.MaxEventBytes {
		return
	}
	if traceParent := messaging.TraceParentOf(payload); traceParent != "" {
		i.tracer.Refused(traceParent, system, source, string(reason), arrived)
	}
}

// finishSpan ends the span of an event, unless it has ended.
func (e *event) finishSpan(receipt messaging.Receipt, err error) {
	if e.endSpan != nil {
		e.endSpan(receipt, err)
		e.endSpan = nil
	}
}

// wrote records one write of events to the log.
func (i *Ingest) wrote(events []*event, began time.Time, err error) {
	if i.tracer == nil {
		return
	}
	var spans []string
	for _, e := range events {
		if e.span != "" {
			spans = append(spans, e.span)
		}
	}
	if len(spans) > 0 {
		i.tracer.Written(spans, len(events), began, time.Now(), err)
	}
}
