package eventstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		err := saveUntilKilled(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds how long a test waits for something that must happen. On a machine with
// nothing else to do that takes a few seconds at most.
const patience = time.Minute

// bundle is one log on an embedded server of its own.
type bundle struct {
	server *natsserver.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	log    *eventstore.Log
	reg    *prometheus.Registry
}

// startServer runs a server until the test ends.
func startServer(t testing.TB, cfg natsserver.Config) *natsserver.Server {
	t.Helper()
	if cfg.StoreDir == "" {
		cfg.StoreDir = t.TempDir()
	}
	server, err := natsserver.Start(cfg)
	if err != nil {
		t.Fatalf("start server: %v", err)
	}
	t.Cleanup(func() { closeServer(t, server) })
	return server
}

func closeServer(t testing.TB, server *natsserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Close(ctx); err != nil {
		t.Errorf("close server: %v", err)
	}
}

// setup opens a log on a fresh embedded server, reached inside the process.
func setup(t testing.TB, change ...func(*eventstore.Config)) *bundle {
	t.Helper()
	server := startServer(t, natsserver.Config{})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn, change...)
	b.server = server
	return b
}

// open opens a log on a connection.
func open(t testing.TB, conn *nats.Conn, change ...func(*eventstore.Config)) *bundle {
	t.Helper()
	b, err := tryOpen(t.Context(), conn, change...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tryOpen is open for goroutines, which must not end the test.
func tryOpen(ctx context.Context, conn *nats.Conn, change ...func(*eventstore.Config)) (*bundle, error) {
	cfg := eventstore.DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	reg := prometheus.NewRegistry()
	log, err := eventstore.Open(ctx, conn, cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	return &bundle{conn: conn, js: js, log: log, reg: reg}, err
}

// connect opens a TCP connection to a server that listens.
func connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := eventstore.Connect(t.Context(), url, eventstore.ConnConfig{})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}

var serial atomic.Uint64

// record returns a record of a job with an id of its own.
func record(job, text string) messaging.Record {
	id := "id-" + strconv.FormatUint(serial.Add(1), 10)
	return withID(job, id, text)
}

// withID returns a record of a job with the given id.
func withID(job, id, text string) messaging.Record {
	return messaging.Record{
		JobID: job, Kind: messaging.KindDomain, ID: id, MessageID: id,
		EmittedAt: "2025-01-02T03:04:05.678Z",
		Body:      fmt.Appendf(nil, `{"kind":"domain","jobId":%q,"event":{"type":%q}}`, job, text),
	}
}

// operators returns the operators' view of the log.
func (b *bundle) operators() *maintain.Log { return maintain.Of(b.log) }

// add appends records and returns their sequences.
func (b *bundle) add(t testing.TB, records ...messaging.Record) []uint64 {
	t.Helper()
	var sequences []uint64
	for _, r := range records {
		receipt, err := b.log.Append(t.Context(), r)
		if err != nil {
			t.Fatalf("append: %v", err)
		}
		sequences = append(sequences, receipt.Sequence)
	}
	return sequences
}

// await fails the test unless the channel yields in time.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}

// eventually polls for what gives no signal.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// counter returns the sum of a metric over its labels.
func (b *bundle) counter(t testing.TB, name string) float64 {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != "realtime_eventstore_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func sequencesOf(records []messaging.Record) []uint64 {
	var sequences []uint64
	for _, r := range records {
		sequences = append(sequences, r.Sequence)
	}
	return sequences
}

func mustTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
