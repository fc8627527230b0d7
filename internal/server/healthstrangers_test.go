package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

// TestHealthTellsStrangersNoAddresses: the health pages of a running gateway name a
// backend's address to a request from the same machine, and to none that came through a
// proxy, whichever header says so.
func TestHealthTellsStrangersNoAddresses(t *testing.T) {
	t.Parallel()
	// MongoDB's address is one that nobody listens at.
	away := testkit.FreeAddr(t)
	g := gatewaykit.Start(t, map[string]string{"MONGODB_URI": "mongodb://" + away + "/novels?serverSelectionTimeoutMS=200"})
	ask := func(path, header string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			request.Header.Set(header, "203.0.113.7")
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(ask("/health", ""), away) {
		if time.Now().After(deadline) {
			t.Fatalf("an operator is not told the address: %s", ask("/health", ""))
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, path := range []string{"/health", "/health/ready", "/health/live"} {
		for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
			if body := ask(path, header); strings.Contains(body, away) || strings.Contains(body, "127.0.0.1") || !strings.Contains(body, `"status"`) {
				t.Errorf("%s with %s: %s", path, header, body)
			}
		}
	}
}
