package hub

import "time"

// Tracer records the delivery of events as spans.
type Tracer interface {
	// Delivered records that the event of a job, with its name on a socket, was put into the
	// outgoing queues of receivers live subscriptions. traceParent is the W3C
	// trace context of the event, and not empty. It is called with the mutex of a room held:
	// it must not block, and must not call the hub.
	Delivered(traceParent, jobID, name string, sequence uint64, receivers int, began, ended time.Time)
}

// Recorder records for operators what happened to events.
type Recorder interface {
	// Delivered records that an event was put into the outgoing queues of receivers live
	// subscriptions of its job, and that fellBack others had no room for it. It is called with
	// the mutex of a room held: it must not block, and must not call the hub.
	Delivered(jobID, epoch string, sequence uint64, receivers, fellBack int)
	// Repaired records that an event which was missed live was read from the log. It is called
	// without the mutex of a room, before the event is delivered.
	Repaired(jobID, epoch string, sequence uint64)
	// Forget removes the records of jobs that were erased. It is called without the mutex of a
	// room.
	Forget(jobIDs ...string)
}

// RecordTo makes the hub report each live event to the recorder. It must be called before
// [Hub.Run].
func (h *Hub) RecordTo(recorder Recorder) { h.recorder = recorder }

// Trace makes the hub report to a tracer. It must be called before [Hub.Run].
func (h *Hub) Trace(tracer Tracer) { h.tracer = tracer }

// traces reports whether the delivery of an event is traced.
func (h *Hub) traces(ev *Event) bool { return h.tracer != nil && ev.TraceParent != "" }
