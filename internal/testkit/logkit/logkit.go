package logkit

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
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

// Server runs a NATS server with options until the test ends. It listens on a free loopback
// port. The default log fits into its store, however much of the disk is free.
func Server(t testing.TB, options server.Options) *server.Server {
	t.Helper()
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	if options.JetStreamMaxStore == 0 {
		options.JetStreamMaxStore = 1 << 40
	}
	started, err := server.NewServer(&options)
	if err != nil {
		t.Fatalf("start NATS: %v", err)
	}
	started.Start()
	t.Cleanup(func() {
		started.Shutdown()
		started.WaitForShutdown()
	})
	if !started.ReadyForConnections(startTimeout) {
		t.Fatal("start NATS: the server is not ready")
	}
	return started
}

// startTimeout bounds the start of a server.
const startTimeout = time.Minute

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
