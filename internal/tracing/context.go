package tracing

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
)

// remote returns a context in which the span of a W3C trace context is the parent, a span of
// another process. Without a trace context, a span that is started in it begins a trace.
func remote(traceParent string) context.Context { return within(traceParent, true) }

// local is remote for a span of this process.
func local(traceParent string) context.Context { return within(traceParent, false) }

func within(traceParent string, remote bool) context.Context {
	const length = 55 // see messaging.IsTraceParent, which the callers' texts have passed
	if len(traceParent) < length {
		return context.Background()
	}
	var config trace.SpanContextConfig
	var flags [1]byte
	_, badTrace := hex.Decode(config.TraceID[:], []byte(traceParent[3:35]))
	_, badSpan := hex.Decode(config.SpanID[:], []byte(traceParent[36:52]))
	_, badFlags := hex.Decode(flags[:], []byte(traceParent[53:length]))
	if badTrace != nil || badSpan != nil || badFlags != nil {
		return context.Background()
	}
	config.TraceFlags, config.Remote = trace.TraceFlags(flags[0]), remote
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(config))
}

// format returns a span's context as a W3C trace context.
func format(span trace.SpanContext) string {
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + (span.TraceFlags() & trace.FlagsSampled).String()
}
