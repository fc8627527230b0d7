package tracing

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/letswriteabook/realtime/messaging"
)

// scope is the name of the instrumentation.
const scope = "github.com/letswriteabook/realtime"

// stream is the destination of events that are written to the log.
const stream = "NOVEL_EVENTS"

// Attributes that the semantic conventions for messaging name, and the service's own.
const (
	keySystem      = attribute.Key("messaging.system")
	keyOperation   = attribute.Key("messaging.operation.type")
	keyName        = attribute.Key("messaging.operation.name")
	keyDestination = attribute.Key("messaging.destination.name")
	keyGroup       = attribute.Key("messaging.consumer.group.name")
	keyMessageID   = attribute.Key("messaging.message.id")
	keyBodyBytes   = attribute.Key("messaging.message.body.size")
	keyBatch       = attribute.Key("messaging.batch.message_count")
	keyErrorType   = attribute.Key("error.type")

	keyJob       = attribute.Key("realtime.job.id")
	keyKind      = attribute.Key("realtime.kind")
	keySequence  = attribute.Key("realtime.sequence")
	keyDuplicate = attribute.Key("realtime.duplicate")
	keyReceivers = attribute.Key("realtime.receivers")
)

// Tracer records spans. Its methods may be called concurrently, and do not block, except
// for Shutdown.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// New returns a tracer that exports. It does not wait for the server. The caller has to
// call [Tracer.Shutdown].
func New(ctx context.Context, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Tracer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	exporter, err := newExporter(ctx, cfg, logger, registerer)
	if err != nil {
		return nil, err
	}
	provider, err := newProvider(cfg, cmp.Or(cfg.Instance, rand.Text()), exporter)
	if err != nil {
		return nil, err
	}
	return &Tracer{provider: provider, tracer: provider.Tracer(scope, trace.WithInstrumentationVersion(cfg.Version))}, nil
}

// Shutdown exports the spans that wait, for as long as ctx lasts, and ends the goroutine
// that exports.
func (t *Tracer) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Received begins the span of an event that has arrived from a source, such as a channel,
// and was validated until decoded. It returns the span's context and a function that ends
// it, or "" and nil if the span is not recorded.
func (t *Tracer) Received(record messaging.Record, system, source string, arrived, decoded time.Time) (span string, end func(messaging.Receipt, error)) {
	ctx, s := t.tracer.Start(remote(record.TraceParent), "process "+source, trace.WithTimestamp(arrived), trace.WithSpanKind(trace.SpanKindConsumer))
	if !s.IsRecording() {
		return "", nil
	}
	s.SetAttributes(keySystem.String(system), keyOperation.String("process"), keyName.String("process"), keyDestination.String(source))
	s.SetAttributes(attributesOf(record)...)
	_, validation := t.tracer.Start(ctx, "validate", trace.WithTimestamp(arrived))
	validation.End(trace.WithTimestamp(decoded))
	return format(s.SpanContext()), func(receipt messaging.Receipt, err error) {
		if receipt.Sequence > 0 {
			s.SetAttributes(keySequence.Int64(int64(receipt.Sequence)), keyDuplicate.Bool(receipt.Duplicate))
		}
		fail(s, err)
		s.End()
	}
}

// Refused records an event that was refused when it arrived. reason is one of a fixed set.
func (t *Tracer) Refused(traceParent, system, source, reason string, arrived time.Time) {
	_, s := t.tracer.Start(remote(traceParent), "process "+source, trace.WithTimestamp(arrived), trace.WithSpanKind(trace.SpanKindConsumer))
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(keySystem.String(system), keyOperation.String("process"), keyName.String("process"), keyDestination.String(source), keyErrorType.String(reason))
	s.SetStatus(codes.Error, reason)
	s.End()
}

// Written records one write to the log as a span in each of the traces of its events. spans
// are contexts that Received has returned; batch is the number of all events of the write.
func (t *Tracer) Written(spans []string, batch int, began, ended time.Time, err error) {
	parents := make([]context.Context, len(spans))
	for i, span := range spans {
		parents[i] = local(span)
	}
	t.together(parents, "send "+stream, trace.SpanKindProducer, batch, began, ended, err,
		func(int) []attribute.KeyValue {
			return []attribute.KeyValue{keySystem.String("nats"), keyOperation.String("send"), keyName.String("send"), keyDestination.String(stream)}
		})
}

// Projected records that a projection has applied a batch, or that it failed, as a span in
// the traces of the records that have one.
func (t *Tracer) Projected(projection string, records []messaging.Record, began, ended time.Time, err error) {
	var parents []context.Context
	var traced []int
	for i := range records {
		if records[i].TraceParent != "" {
			parents, traced = append(parents, remote(records[i].TraceParent)), append(traced, i)
		}
	}
	t.together(parents, "project "+projection, trace.SpanKindConsumer, len(records), began, ended, err,
		func(i int) []attribute.KeyValue {
			return append(attributesOf(records[traced[i]]),
				keySystem.String("nats"), keyOperation.String("process"), keyName.String("project"),
				keyDestination.String(stream), keyGroup.String(projection))
		})
}

// Delivered records that an event was put into the outgoing queues of live subscriptions.
func (t *Tracer) Delivered(traceParent, jobID, name string, sequence uint64, receivers int, began, ended time.Time) {
	_, s := t.tracer.Start(remote(traceParent), "deliver "+name, trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindProducer))
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(
		keySystem.String("realtime"), keyOperation.String("send"), keyName.String("deliver"), keyDestination.String(name),
		keyJob.String(jobID), keySequence.Int64(int64(sequence)), keyReceivers.Int(receivers))
	s.End(trace.WithTimestamp(ended))
}

// together records one piece of work on several events: a span in the trace of each, which
// except for the first has a link to the first.
func (t *Tracer) together(parents []context.Context, name string, kind trace.SpanKind, batch int, began, ended time.Time, err error, attributes func(i int) []attribute.KeyValue) {
	var first trace.SpanContext
	for i, parent := range parents {
		options := []trace.SpanStartOption{trace.WithTimestamp(began), trace.WithSpanKind(kind)}
		if first.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: first}))
		}
		_, s := t.tracer.Start(parent, name, options...)
		if !s.IsRecording() {
			continue
		}
		if !first.IsValid() {
			first = s.SpanContext()
		}
		s.SetAttributes(attributes(i)...)
		s.SetAttributes(keyBatch.Int(batch))
		fail(s, err)
		s.End(trace.WithTimestamp(ended))
	}
}

// attributesOf describes an event.
func attributesOf(record messaging.Record) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 12)
	attributes = append(attributes, keyJob.String(record.JobID), keyKind.String(string(record.Kind)), keyBodyBytes.Int(len(record.Body)))
	if record.ID != "" {
		attributes = append(attributes, keyMessageID.String(record.ID))
	}
	if record.Sequence > 0 {
		attributes = append(attributes, keySequence.Int64(int64(record.Sequence)))
	}
	return attributes
}

// fail marks a span as failed, unless err is nil.
func fail(s trace.Span, err error) {
	if err == nil {
		return
	}
	s.SetAttributes(keyErrorType.String("_OTHER"))
	s.SetStatus(codes.Error, err.Error())
}
