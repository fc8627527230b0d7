package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// A running gateway shows its secrets on no page, in no profile, and not in the dump
// that a crash leaves.
func TestSecretsOfARunningGateway(t *testing.T) {
	t.Parallel()
	const marker = "Qz7MARKER"
	g := startGateway(t, settings{
		"REDIS_URL":      "redis://:" + marker + "%2F%2C@127.0.0.1:1",
		"MONGODB_URI":    "mongodb://user:" + marker + "%2F%3F@127.0.0.1:1/db?serverSelectionTimeoutMS=100",
		"AUTH_JWKS_URL":  "http://user:" + marker + "@127.0.0.1:1/keys?token=" + marker,
		"AUTH_ISSUER":    "i",
		"AUTH_AUDIENCE":  "a",
		"INTERNAL_TOKEN": marker + "-0123456789",
		"ROLES":          "project,fanout", // Redis, which cannot be reached, would keep it from being ready
		"LOG_LEVEL":      "debug",
		"GOTRACEBACK":    "system",
	})
	for _, path := range []string{
		"/health", "/health/ready", "/metrics", "/internal/realtime/metrics", "/debug/pprof/", "/debug/pprof/cmdline",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1",
	} {
		response, err := http.Get(g.url(path))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), marker) {
			t.Errorf("%s shows a secret", path)
		}
	}
	if err := g.process.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = g.process.Wait() // says that it crashed
	g.process = nil
	g.output.mu.Lock()
	defer g.output.mu.Unlock()
	if !strings.Contains(string(g.output.text), "goroutine ") {
		t.Errorf("no dump: %s", g.output.text)
	}
	if strings.Contains(string(g.output.text), marker) {
		t.Error("the log or the dump shows a secret")
	}
}
