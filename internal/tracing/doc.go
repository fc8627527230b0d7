// Package tracing records the way of events through the service as spans of OpenTelemetry,
// and exports them over OTLP.
//
// # Data flow
//
// The parts of the service declare what they report in interfaces of their own, in terms of
// trace contexts as text and of times; [Tracer] implements these, and is the only code that
// uses OpenTelemetry. Finished spans wait in a queue, which one goroutine sends in batches.
//
// # Invariants
//
//   - A report never blocks and never fails. At the bound of the queue further spans are
//     dropped.
//   - A server that does not answer is logged once for an outage, and its spans are dropped.
//   - The spans of an event belong to the trace of its publisher. An event without a trace
//     context begins a trace where it is received, if the sampler wants it, and nowhere else.
//
// # Spans
//
// Events that are written together have a span each, in their own traces. Each of these
// spans except the first has a link to the first, so that the events of one write can be
// found from any of them.
//
// [New] starts the goroutine that exports; [Tracer.Shutdown] ends it.
package tracing
