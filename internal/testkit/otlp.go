package testkit

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// OTLP receives traces over OTLP, with HTTP and protobuf.
type OTLP struct {
	// URL is the endpoint.
	URL string
	// Headers are those of the last request; read them after a span has arrived.
	Headers http.Header

	mu    sync.Mutex // guards the fields below, and Headers
	spans []Span
	added chan struct{} // closed when spans arrive
}

// Span is one span that was received.
type Span struct {
	*tracepb.Span
	// TraceID, SpanID and ParentID are in hexadecimal; ParentID is empty for a root.
	TraceID, SpanID, ParentID string
	// Service has the attributes of the service, and Attributes those of the span, as text.
	Service, Attributes map[string]string
}

// StartOTLP starts a receiver, which ends with the test.
func StartOTLP(t testing.TB) *OTLP {
	t.Helper()
	o := &OTLP{added: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := new(collector.ExportTraceServiceRequest)
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, request) != nil {
			http.Error(w, "not an export", http.StatusBadRequest)
			return
		}
		o.Take(request, r.Header)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	o.URL = server.URL
	return o
}

// NewOTLP returns a receiver without a server: its caller calls Take.
func NewOTLP() *OTLP { return &OTLP{added: make(chan struct{})} }

// Take takes the spans of one request.
func (o *OTLP) Take(request *collector.ExportTraceServiceRequest, headers http.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Headers = headers
	for _, resource := range request.GetResourceSpans() {
		service := make(map[string]string)
		for _, pair := range resource.GetResource().GetAttributes() {
			service[pair.GetKey()] = pair.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				received := Span{
					Span: span, TraceID: hex.EncodeToString(span.GetTraceId()), SpanID: hex.EncodeToString(span.GetSpanId()),
					ParentID: hex.EncodeToString(span.GetParentSpanId()), Service: service, Attributes: make(map[string]string),
				}
				for _, pair := range span.GetAttributes() {
					text := pair.GetValue().GetStringValue()
					if text == "" {
						text = fmt.Sprint(pair.GetValue().GetIntValue())
					}
					received.Attributes[pair.GetKey()] = text
				}
				o.spans = append(o.spans, received)
			}
		}
	}
	close(o.added)
	o.added = make(chan struct{})
}

// Spans returns all spans so far.
func (o *OTLP) Spans() []Span {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Span(nil), o.spans...)
}

// Await waits until the spans of a trace, in any order, include every name, and returns the
// first span of each.
func (o *OTLP) Await(t testing.TB, traceID string, names ...string) map[string]Span {
	t.Helper()
	overdue := time.After(time.Minute)
	for {
		o.mu.Lock()
		added, found := o.added, make(map[string]Span)
		var all []string
		for _, span := range o.spans {
			all = append(all, span.TraceID+" "+span.GetName())
			if _, again := found[span.GetName()]; span.TraceID == traceID && !again {
				found[span.GetName()] = span
			}
		}
		o.mu.Unlock()
		missing := false
		for _, name := range names {
			if _, there := found[name]; !there {
				missing = true
			}
		}
		if !missing {
			return found
		}
		select {
		case <-added:
		case <-overdue:
			t.Fatalf("trace %s does not have all of %q; received: %q", traceID, names, all)
		}
	}
}
