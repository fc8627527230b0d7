package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
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
		if _, err := config.Load(map[string]string{"BASE_PATH": base}); err == nil || !strings.Contains(err.Error(), "BASE_PATH") {
			t.Errorf("BASE_PATH %q: %v", base, err)
		}
	}
}

// TestRedirectsStayBelowThePath: a path that is not clean is redirected to below the path
// under which the client knows the service, whether that is BASE_PATH or one that a proxy
// strips.
func TestRedirectsStayBelowThePath(t *testing.T) {
	t.Parallel()
	g := gatewaykit.Start(t, map[string]string{"BASE_PATH": "/rt"})
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for path, want := range map[string]string{
		"/rt//api/novel/events?jobId=a%2Fb":    "/rt/api/novel/events?jobId=a%2Fb",
		"/rt/api//novel///team%2F1/events":     "/rt/api/novel/team%2F1/events",
		"//rt/api//novel/events?jobId=x":       "/rt/api/novel/events?jobId=x",
		"/rt/./api/x/../novel/events?jobId=x":  "/rt/api/novel/events?jobId=x",
		"/rt/debug/pprof":                      "/rt/debug/pprof/",
		"/debug/pprof":                         "/debug/pprof/",
		"//api/realtime/stream?jobId=x":        "/api/realtime/stream?jobId=x",
		"/rt//rt.example.org:80/../health":     "/rt/health",
		"//rt.example.org:80/x/../../health/.": "/health",
		"/./rt:80/../health":                   "/health",
	} {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusTemporaryRedirect || err != nil || len(body) > 0 {
			t.Errorf("%s: %s %s, %v", path, answer.Status, body, err)
		}
		location := answer.Header.Get("Location")
		for _, stripped := range []string{"", "/stripped"} {
			seen, err := url.Parse("http://example.org" + stripped + path)
			if err != nil {
				t.Fatal(err)
			}
			target, err := seen.Parse(location) // as a client does
			if err != nil || target.String() != "http://example.org"+stripped+want {
				t.Errorf("Location %q leads from %s to %v (%v), want %s", location, seen, target, err, stripped+want)
			}
		}
	}
}
