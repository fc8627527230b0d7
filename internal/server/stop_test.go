package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
)

// lines collects a log.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestStopWithClientsThatReadNothing: pages of history, event streams, sockets and
// requests that nobody takes do not keep the gateway from an orderly stop.
func TestStopWithClientsThatReadNothing(t *testing.T) {
	t.Parallel()
	const timeout = 15 * time.Second
	cfg, err := config.Load(map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "LOG_LEVEL": "debug",
		"DRAIN_SECONDS": "0", "SOCKET_CLIENT_ORIGIN": "*", "SHUTDOWN_TIMEOUT": timeout.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	gateway, err := server.Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	// A page of the caller's that ends with its client only.
	asked, release := make(chan struct{}), make(chan struct{})
	gateway.Handle("GET /stuck", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	defer close(release)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	url := "http://" + gateway.Addr().String()
	text := strings.Repeat("x", 600_000)
	for i := range 24 {
		body := fmt.Sprintf(`{"kind":"domain","jobId":"job","id":"%d","event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z","pad":%q}}`, i, text)
		answer, err := http.Post(url+"/api/realtime/events", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			t.Fatal(answer.Status)
		}
	}
	for _, request := range []string{
		"GET /api/novel/job/events?limit=24 HTTP/1.1\r\nHost: test\r\n\r\n",
		"GET /api/novel/job/events?since=0&limit=24 HTTP/1.1\r\nHost: test\r\n\r\n",
		"GET /api/realtime/jobs/job/stream?since=0:0 HTTP/1.1\r\nHost: test\r\n\r\n",
		"GET /ws/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", gateway.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(request, "stuck") { // that the answer has begun
			if _, err := conn.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-asked
	began := time.Now()
	stop()
	err = <-ended
	// Parts that hang use up most of the time; a busy machine adds to it.
	if took := time.Since(began); err != nil || took > 2*timeout {
		t.Errorf("stopped after %s: %v", took, err)
	}
	at := 0
	for _, part := range []string{"http requests", "http", "live tail", "hub", "session store", "nats connection", "embedded JetStream", "listener"} {
		if strings.Contains(part, " ") {
			part = `"` + part + `"`
		}
		next := strings.Index(log.String()[at:], "msg=stopped part="+part+" ")
		if next < 0 {
			t.Fatalf("%s was not stopped in order:\n%s", part, log.String())
		}
		at += next
	}
}
