package server_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
)

// TestH2C: with HTTP_H2C pages, publishing and event streams share a connection of HTTP/2
// without TLS, beside HTTP/1.1, which sockets use.
func TestH2C(t *testing.T) {
	t.Parallel()
	const secret = "an internal token"
	gateway := gatewaykit.Start(t, map[string]string{"HTTP_H2C": "true", "INTERNAL_TOKEN": secret})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	request := func(method, path, body string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, gateway.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.ProtoMajor != 2 || response.StatusCode/100 != 2 {
			t.Errorf("%s %s: %s %s", method, path, response.Proto, response.Status)
		}
		return response
	}
	stream := request(http.MethodGet, "/api/realtime/jobs/job-1/stream", "")
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	_ = request(http.MethodPost, "/api/realtime/events", `{"kind":"job-status","jobId":"job-1","status":"running","id":"first"}`).Body.Close()
	for lines.Scan() && !strings.Contains(lines.Text(), `"running"`) {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream: %v", err)
	}
	conn, err := net.Dial("tcp", gateway.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if status := ask(t, conn, "/ws/?EIO=4&transport=websocket", upgrade); status != http.StatusSwitchingProtocols {
		t.Errorf("a socket: %d", status)
	}

	without := gatewaykit.Start(t, nil)
	if response, err := client.Get(without.URL + "/health/live"); err == nil {
		_ = response.Body.Close()
		t.Errorf("without HTTP_H2C: %s", response.Proto)
	}
}
