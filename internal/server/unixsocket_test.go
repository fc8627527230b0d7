package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
)

// TestNoClientOfAUnixSocketIsLocal: the connections of a UNIX socket are those of a proxy,
// whose clients come from anywhere. None of them is an operator or a producer without a
// token.
func TestNoClientOfAUnixSocketIsLocal(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "unix") // a path of a test's own folder may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "http.sock")
	cfg, err := config.Load(map[string]string{"LISTEN": "unix:" + path, "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0"})
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := server.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }() // ends with ctx
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}}
	client := &http.Client{Transport: transport}
	for _, asked := range []struct{ method, path, body string }{
		{http.MethodGet, "/metrics", ""},
		{http.MethodGet, api + "/jobs", ""},
		{http.MethodGet, "/debug/pprof/cmdline", ""},
		{http.MethodPost, "/api/realtime/events", `{"kind":"job-status","jobId":"b","status":"running"}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), asked.method, "http://localhost"+asked.path, strings.NewReader(asked.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s %s: %s", asked.method, asked.path, answer.Status)
		}
	}
	transport.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run the gateway: %v", err)
	}
}
