package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

// TestBasePath: below the path of a proxy that keeps it, sockets, streams and pages are
// served alike, and probes find the routes without it.
func TestBasePath(t *testing.T) {
	t.Parallel()
	g := gatewaykit.Start(t, map[string]string{"BASE_PATH": "/rt/"})
	for path, want := range map[string]string{
		"/health/live":                                  `"pass"`,
		"/rt/health/live":                               `"pass"`,
		"/rt/api/novel/job/events":                      `"count":0`,
		"/rt/api/novel/team%2F1/events":                 `"count":0`,
		"/rt/api/novel/events?jobId=..":                 `"count":0`,
		"/rt/api/realtime/jobs/job/stream":              ": stream",
		"/rt/api/realtime/stream?jobId=team-1/x":        ": stream",
		"/rt/ws/?EIO=4&transport=polling":               `"sid"`,
		"/rt/ws?EIO=4&transport=polling":                `"sid"`,
		"/api/realtime/stream?jobId=team-1/x&since=0:0": ": stream",
	} {
		answer, err := http.Get(g.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 64)
		n, _ := io.ReadAtLeast(answer.Body, part, len(want))
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(part[:n]), want) {
			t.Errorf("%s: %s %s", path, answer.Status, part[:n])
		}
	}
	for _, path := range []string{"/rtx/health/live", "/other/health/live"} {
		if answer, err := http.Get(g.URL + path); err != nil || answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v, %v", path, answer, err)
		}
	}
	for _, base := range []string{"rt", "/rt//x", "/rt/../x", "/r t", "/", "/rt?x"} {
		if _, err := server.LoadConfig(map[string]string{"BASE_PATH": base}); err == nil || !strings.Contains(err.Error(), "BASE_PATH") {
			t.Errorf("BASE_PATH %q: %v", base, err)
		}
	}
}
