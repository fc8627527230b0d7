package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

// patience bounds what should happen at once, on a machine that is busy.
const patience = 30 * time.Second

// routes are those of a gateway with all its roles, each with the status of its
// HEAD and with its methods.
var routes = []struct {
	path    string
	head    int
	methods string
}{
	{"/health", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/health/live", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/health/ready", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/api/novel/job/events", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/api/novel/job/events?since=x", http.StatusBadRequest, "GET, HEAD, OPTIONS"},
	{"/api/realtime/jobs/job/stream", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/api/realtime/jobs/job/stream?since=x", http.StatusBadRequest, "GET, HEAD, OPTIONS"},
	{"/api/realtime/events", http.StatusMethodNotAllowed, "POST, OPTIONS"},
	{"/ws?EIO=4&transport=polling", http.StatusOK, "GET, POST, HEAD, OPTIONS"},
	{"/ws/?EIO=4&transport=polling", http.StatusOK, "GET, POST, HEAD, OPTIONS"},
	{"/ws?EIO=4&transport=websocket", http.StatusBadRequest, "GET, POST, HEAD, OPTIONS"},
	{"/ws?EIO=4&transport=polling&sid=unknown", http.StatusBadRequest, "GET, POST, HEAD, OPTIONS"},
	{"/metrics", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/internal/realtime/metrics", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/debug/pprof/", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/debug/pprof/profile", http.StatusOK, "GET, HEAD, OPTIONS"},
	{"/debug/pprof/trace?seconds=60", http.StatusOK, "GET, HEAD, OPTIONS"},
}

// TestHeadAndOptionsEndAndHoldNothing sends HEAD and OPTIONS of every route on one
// connection, as a proxy that reuses its connections does: each answer is complete
// with its headers, and leaves no connection counted.
func TestHeadAndOptionsEndAndHoldNothing(t *testing.T) {
	t.Parallel()
	g := gatewaykit.Start(t, map[string]string{"SOCKET_MAX_CONNECTIONS": "1"})
	address := strings.TrimPrefix(g.URL, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	ask := func(method, path string) *http.Response {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s %s: no answer: %v", method, path, err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || method != http.MethodGet && len(body) > 0 {
			t.Errorf("%s %s: body %q, %v", method, path, body, err)
		}
		return answer
	}
	for _, route := range routes {
		if answer := ask(http.MethodHead, route.path); answer.StatusCode != route.head || answer.Close {
			t.Errorf("HEAD %s: %s, connection closed: %t; want %d", route.path, answer.Status, answer.Close, route.head)
		}
		if answer := ask(http.MethodOptions, route.path); answer.StatusCode != http.StatusNoContent || answer.Header.Get("Allow") != route.methods {
			t.Errorf("OPTIONS %s: %s, Allow %q; want %q", route.path, answer.Status, answer.Header.Get("Allow"), route.methods)
		}
	}
	if answer := ask(http.MethodOptions, "/elsewhere"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("OPTIONS of no route: %s", answer.Status)
	}
	if answer := ask(http.MethodGet, "/health/live"); answer.StatusCode != http.StatusOK {
		t.Errorf("the next request on the connection: %s", answer.Status)
	}
	// The only place among the connections is free.
	stream, err := http.Get(g.URL + "/api/realtime/jobs/job/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK {
		t.Errorf("a stream beside them: %s", stream.Status)
	}
}
