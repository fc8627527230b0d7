package tracing

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"

	"github.com/letswriteabook/realtime/messaging"
)

// remote returns a context in which the span of a W3C trace context is the parent, a span of
// another process. Without a trace context, a span that is started in it begins a trace.
func remote(traceParent string) context.Context { return within(traceParent, true) }

// local is remote for a span of this process.
func local(traceParent string) context.Context { return within(traceParent, false) }

func within(traceParent string, remote bool) context.Context {
	traceID, spanID := messaging.TraceIDs(traceParent)
	if traceID == "" {
		return context.Background()
	}
	config := trace.SpanContextConfig{Remote: remote}
	var flags [1]byte
	// The digits are valid: TraceIDs has checked all of them.
	_, _ = hex.Decode(config.TraceID[:], []byte(traceID))
	_, _ = hex.Decode(config.SpanID[:], []byte(spanID))
	_, _ = hex.Decode(flags[:], []byte(traceParent[53:55]))
	config.TraceFlags = trace.TraceFlags(flags[0])
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(config))
}

// format returns a span's context as a W3C trace context.
func format(span trace.SpanContext) string {
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + (span.TraceFlags() & trace.FlagsSampled).String()
}
