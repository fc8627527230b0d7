package publisher

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/letswriteabook/realtime/messaging"
)

// newTracer returns a tracer of the application's OpenTelemetry, which may be set up later.
// In an application without it, its spans cost nothing and have no context.
func newTracer() trace.Tracer { return otel.Tracer("github.com/letswriteabook/realtime/publisher") }

// traced begins the span of an event, a child of the span in ctx. It returns the event with
// the trace context of its span, unless the event has a trace context already, or is sent as
// it is, and a function that ends the span.
func (p *Publisher) traced(ctx context.Context, envelope messaging.Envelope) (messaging.Envelope, func(error)) {
	_, span := p.tracer.Start(ctx, "send "+messaging.EventsChannel, trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("messaging.system", "redis"), attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.operation.name", "send"), attribute.String("messaging.destination.name", messaging.EventsChannel),
			attribute.String("realtime.job.id", envelope.JobID), attribute.String("realtime.kind", string(envelope.Kind)))
	}
	if own := span.SpanContext(); own.IsValid() && envelope.TraceParent == "" && envelope.Raw == nil {
		envelope.TraceParent = "00-" + own.TraceID().String() + "-" + own.SpanID().String() + "-" + (own.TraceFlags() & trace.FlagsSampled).String()
	}
	return envelope, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
