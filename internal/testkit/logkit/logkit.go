package logkit

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// Conn starts a server in the test's temporary folder and connects to it.
func Conn(t testing.TB) *nats.Conn {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatalf("start NATS: %v", err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	conn, err := server.Conn(eventstore.ConnOptions(slog.New(slog.DiscardHandler))...)
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// Open opens the log of a connection with the default settings. The first call creates the
// log.
func Open(t testing.TB, conn *nats.Conn) *eventstore.Log {
	t.Helper()
	log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("open the log: %v", err)
	}
	return log
}
