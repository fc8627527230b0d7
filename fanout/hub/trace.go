package hub

import "time"

// Tracer records the delivery of events as spans.
type Tracer interface {
	// Delivered records that the event of a job, with its name on a socket, was put into the
	// outgoing queues of live subscriptions, as many as receivers. traceParent is the W3C
	// trace context of the event, and not empty. It is called with the mutex of a room held:
	// it must not block, and must not call the hub.
	Delivered(traceParent, jobID, name string, sequence uint64, receivers int, began, ended time.Time)
}

// Trace makes the hub report to a tracer. It must be called before [Hub.Run].
func (h *Hub) Trace(tracer Tracer) { h.tracer = tracer }

// traces reports whether the delivery of an event is traced.
func (h *Hub) traces(ev *Event) bool { return h.tracer != nil && ev.TraceParent != "" }
