package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/letswriteabook/realtime/internal/outage"
)

const (
	// The pauses between repetitions of a request that the server could not take, and the time
	// for all of them.
	retryFirst = 500 * time.Millisecond
	retryLast  = 5 * time.Second
	retryTotal = 15 * time.Second
	// maxValueBytes bounds a text in an attribute, unless OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT
	// does.
	maxValueBytes = 1024
)

// exporter reports the outages of another exporter. It returns no errors, because the
// goroutine that exports would log each of them.
type exporter struct {
	sdktrace.SpanExporter
	outage           *outage.Book
	exported, failed prometheus.Counter
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.outage.Note(err)
	if err != nil {
		e.failed.Add(float64(len(spans)))
	} else {
		e.exported.Add(float64(len(spans)))
	}
	return nil
}

// newExporter returns an exporter that connects when it exports.
func newExporter(ctx context.Context, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*exporter, error) {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "realtime_tracing_spans_total",
		Help: "Spans by outcome: exported, or failed if the server did not take them. Only where traces are exported.",
	}, []string{"outcome"})
	e := &exporter{
		outage: outage.NewBook(logger, slog.LevelWarn, "spans cannot be exported and are dropped; events are not affected",
			"spans are exported again"),
		exported: spans.WithLabelValues("exported"), failed: spans.WithLabelValues("failed"),
	}
	if err := registerer.Register(spans); err != nil {
		return nil, fmt.Errorf("tracing: register metrics: %w", err)
	}
	var err error
	if e.SpanExporter, err = open(ctx, cfg); err != nil {
		return nil, fmt.Errorf("tracing: open the exporter: %w", err)
	}
	return e, nil
}

// open returns the exporter of the protocol.
func open(ctx context.Context, cfg Config) (sdktrace.SpanExporter, error) {
	retry := otlptracehttp.RetryConfig{Enabled: true, InitialInterval: retryFirst, MaxInterval: retryLast, MaxElapsedTime: retryTotal}
	if cfg.Protocol == ProtocolGRPC {
		return otlptracegrpc.New(ctx,
			otlptracegrpc.WithEndpointURL(cmp.Or(cfg.URL, "http://localhost:4317")),
			otlptracegrpc.WithHeaders(cfg.Headers),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig(retry)))
	}
	return otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(cmp.Or(cfg.URL, "http://localhost:4318/v1/traces")),
		otlptracehttp.WithHeaders(cfg.Headers),
		otlptracehttp.WithRetry(retry))
}

// newProvider returns a provider whose goroutine exports spans until its Shutdown. Its queue
// is that of the SDK: OTEL_BSP_MAX_QUEUE_SIZE spans, 2048 by default, of about 2 KB each;
// further ones are dropped.
func newProvider(cfg Config, instance string, exporter sdktrace.SpanExporter) (*sdktrace.TracerProvider, error) {
	sampler, err := cfg.sampler()
	if err != nil {
		return nil, err
	}
	described := []attribute.KeyValue{
		attribute.String("service.name", cfg.ServiceName), attribute.String("service.instance.id", instance),
		attribute.String("telemetry.sdk.name", "opentelemetry"), attribute.String("telemetry.sdk.language", "go"),
	}
	if cfg.Version != "" {
		described = append(described, attribute.String("service.version", cfg.Version))
	}
	for key, value := range cfg.Attributes {
		if key != "service.name" { // OTEL_SERVICE_NAME comes first
			described = append(described, attribute.String(key, value))
		}
	}
	limits := sdktrace.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxValueBytes
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sampler),
		sdktrace.WithResource(resource.NewSchemaless(described...)),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(exporter),
	), nil
}
