package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tracing"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	traceA  = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceB  = "0af7651916cd43dd8448eb211c80319c"
	workerA = "00-" + traceA + "-00f067aa0ba902b7-01"
	workerB = "00-" + traceB + "-b7ad6b7169203331-01"
	// declined is a trace that its worker does not record.
	declined = "00-11111111111111111111111111111111-2222222222222222-00"
)

func config(url string) tracing.Config {
	return tracing.Config{Protocol: tracing.ProtocolHTTP, URL: url, Sampler: "parentbased_always_on", Ratio: 1, ServiceName: "realtime", Version: "1.2.3"}
}

func open(t *testing.T, cfg tracing.Config, logger *slog.Logger) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.New(t.Context(), cfg, logger, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Shutdown(context.Background()) })
	return tracer
}

func record(traceParent, jobID string, sequence uint64) messaging.Record {
	return messaging.Record{
		Position: messaging.Position{Epoch: "e", Sequence: sequence}, JobID: jobID, Kind: messaging.KindDomain,
		ID: "id-" + jobID, TraceParent: traceParent, Body: []byte(`{}`),
	}
}

func TestSpansOfEventsOfOneWrite(t *testing.T) {
	t.Parallel()
	receiver := testkit.StartOTLP(t)
	cfg := config(receiver.URL + "/v1/traces")
	cfg.Headers = map[string]string{"authorization": "Bearer of the test"}
	cfg.Attributes = map[string]string{"deployment.environment.name": "test"}
	tracer := open(t, cfg, slog.New(slog.DiscardHandler))
	now := time.Now()
	var spans []string
	var ends []func(messaging.Receipt, error)
	for _, r := range []messaging.Record{record(workerA, "a", 0), record(workerB, "b", 0)} {
		span, end := tracer.Received(r, "redis", "novel.realtime.events", now, now.Add(time.Millisecond))
		if !messaging.IsTraceParent(span) {
			t.Fatalf("span %q", span)
		}
		spans, ends = append(spans, span), append(ends, end)
	}
	tracer.Written(spans, 5, now, now.Add(time.Second), nil)
	ends[0](messaging.Receipt{Sequence: 7}, nil)
	ends[1](messaging.Receipt{}, errors.New("the log is full"))
	tracer.Projected("history", []messaging.Record{record(workerA, "a", 7), record("", "c", 8), record(workerB, "b", 9)}, now, now.Add(time.Second), nil)
	tracer.Delivered(workerA, "a", "novel.domain-event", 7, 3, now, now.Add(time.Second))
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	a := receiver.Await(t, traceA, "process novel.realtime.events", "validate", "send NOVEL_EVENTS", "project history", "deliver novel.domain-event")
	b := receiver.Await(t, traceB, "process novel.realtime.events", "validate", "send NOVEL_EVENTS", "project history")
	process := a["process novel.realtime.events"]
	if process.ParentID != "00f067aa0ba902b7" || process.Attributes["realtime.sequence"] != "7" || process.Attributes["messaging.message.id"] != "id-a" ||
		process.GetKind() != tracepb.Span_SPAN_KIND_CONSUMER || process.Service["service.name"] != "realtime" || process.Service["service.version"] != "1.2.3" ||
		process.Service["deployment.environment.name"] != "test" {
		t.Errorf("process: %v, service %v", process, process.Service)
	}
	if receiver.Headers.Get("Authorization") != "Bearer of the test" {
		t.Errorf("headers %v", receiver.Headers)
	}
	for _, name := range []string{"validate", "send NOVEL_EVENTS"} {
		if a[name].ParentID != process.SpanID {
			t.Errorf("the parent of %s is %s, want %s", name, a[name].ParentID, process.SpanID)
		}
	}
	if failed := b["process novel.realtime.events"].GetStatus(); failed.GetCode() != tracepb.Status_STATUS_CODE_ERROR || failed.GetMessage() != "the log is full" {
		t.Errorf("status of the failed event: %v", failed)
	}
	for _, name := range []string{"send NOVEL_EVENTS", "project history"} {
		links := b[name].GetLinks()
		if len(a[name].GetLinks()) != 0 || len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), a[name].GetSpanId()) {
			t.Errorf("links of %s: %v and %v, want one from the second to the first", name, a[name].GetLinks(), links)
		}
	}
	if a["send NOVEL_EVENTS"].Attributes["messaging.batch.message_count"] != "5" || a["project history"].Attributes["messaging.batch.message_count"] != "3" ||
		a["deliver novel.domain-event"].Attributes["realtime.receivers"] != "3" {
		t.Errorf("counts: %v", a)
	}
	if total := len(receiver.Spans()); total != 9 { // none of the record without a trace
		t.Errorf("%d spans, want 9", total)
	}
}

func TestSamplingFollowsTheWorker(t *testing.T) {
	t.Parallel()
	receiver := testkit.StartOTLP(t)
	cfg := config(receiver.URL + "/v1/traces")
	cfg.Sampler, cfg.Ratio = "parentbased_traceidratio", 0
	tracer := open(t, cfg, slog.New(slog.DiscardHandler))
	now := time.Now()
	for traceParent, want := range map[string]bool{workerA: true, declined: false, "": false} {
		span, end := tracer.Received(record(traceParent, "job", 0), "redis", "novel.realtime.events", now, now)
		if got := span != ""; got != want || got != (end != nil) {
			t.Errorf("%q is recorded: %v, want %v", traceParent, got, want)
		}
		if end != nil {
			end(messaging.Receipt{}, nil)
		}
	}
}

// An event without a trace context begins a trace, which its later stages continue.
func TestTraceBeginsWhereAnEventArrives(t *testing.T) {
	t.Parallel()
	receiver := testkit.StartOTLP(t)
	tracer := open(t, config(receiver.URL+"/v1/traces"), slog.New(slog.DiscardHandler))
	now := time.Now()
	span, end := tracer.Received(record("", "job", 0), "redis", "novel.realtime.events", now, now)
	end(messaging.Receipt{Sequence: 1}, nil)
	tracer.Delivered(span, "job", "novel.domain-event", 1, 1, now, now)
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	traceID, spanID := messaging.TraceIDs(span)
	found := receiver.Await(t, traceID, "process novel.realtime.events", "deliver novel.domain-event")
	if root := found["process novel.realtime.events"]; root.ParentID != "" || found["deliver novel.domain-event"].ParentID != spanID {
		t.Errorf("spans %v", found)
	}
}

func TestRefusedEventIsInItsTrace(t *testing.T) {
	t.Parallel()
	receiver := testkit.StartOTLP(t)
	tracer := open(t, config(receiver.URL+"/v1/traces"), slog.New(slog.DiscardHandler))
	tracer.Refused(workerA, "redis", "novel.realtime.events", "schema-violation", time.Now())
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := receiver.Await(t, traceA, "process novel.realtime.events")["process novel.realtime.events"]; got.Attributes["error.type"] != "schema-violation" ||
		got.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("span %v", got)
	}
}

type grpcReceiver struct {
	collector.UnimplementedTraceServiceServer
	*testkit.OTLP
}

func (r grpcReceiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.Take(request, nil)
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestExportOverGRPC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	receiver, server := grpcReceiver{OTLP: testkit.NewOTLP()}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, receiver)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // ends with Stop
	t.Cleanup(func() { server.Stop(); <-served })
	cfg := config("http://" + listener.Addr().String())
	cfg.Protocol = tracing.ProtocolGRPC
	tracer := open(t, cfg, slog.New(slog.DiscardHandler))
	tracer.Delivered(workerA, "job", "novel.domain-event", 1, 1, time.Now(), time.Now())
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	receiver.Await(t, traceA, "deliver novel.domain-event")
}

// lines is a log that may be written concurrently.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// A server that accepts requests and never answers delays neither the events nor the stop,
// and is logged once.
func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	t.Cleanup(func() { close(held); server.Close() })
	log := &lines{}
	tracer := open(t, config(server.URL+"/v1/traces"), slog.New(slog.NewTextHandler(log, nil)))
	const events = 20_000 // far more than the queue has room for
	for range events {
		tracer.Delivered(workerA, "job", "novel.domain-event", 1, 1, time.Now(), time.Now())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- tracer.Shutdown(ctx) }() // ends when ctx does
	select {
	case err := <-stopped:
		if err == nil {
			t.Error("the stop did not report the lost spans")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the stop waits for the server")
	}
}

// Every further failure of an outage is silent.
func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	const batch = 512
	requests := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests <- struct{}{}
		w.WriteHeader(http.StatusBadRequest) // which is not repeated
	}))
	t.Cleanup(server.Close)
	log := &lines{}
	registry := prometheus.NewRegistry()
	tracer, err := tracing.New(t.Context(), config(server.URL+"/v1/traces"), slog.New(slog.NewTextHandler(log, nil)), registry)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for range batch { // which are exported at once
			tracer.Delivered(workerA, "job", "novel.domain-event", 1, 1, time.Now(), time.Now())
		}
		select {
		case <-requests:
		case <-time.After(time.Minute):
			t.Fatal("no export")
		}
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.count("spans cannot be exported"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, log.text.String())
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := families[0].GetMetric()[1].GetCounter().GetValue(); got != 3*batch {
		t.Errorf("%v spans failed, want %d: %v", got, 3*batch, families)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*tracing.Config){
		"Protocol":    func(c *tracing.Config) { c.Protocol = "http/json" },
		"URL":         func(c *tracing.Config) { c.URL = "localhost:4318" },
		"ServiceName": func(c *tracing.Config) { c.ServiceName = "" },
		"Sampler":     func(c *tracing.Config) { c.Sampler = "sometimes" },
		"Ratio":       func(c *tracing.Config) { c.Ratio = 2 },
	} {
		cfg := config("http://localhost:4318/v1/traces")
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestParsePairs(t *testing.T) {
	t.Parallel()
	pairs, err := tracing.ParsePairs("a=b%20c, key = value=,")
	if err != nil || len(pairs) != 2 || pairs["a"] != "b c" || pairs["key"] != "value=" {
		t.Errorf("%q, %v", pairs, err)
	}
	for _, wrong := range []string{"a", "=b", "a=%zz"} {
		if _, err := tracing.ParsePairs(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
