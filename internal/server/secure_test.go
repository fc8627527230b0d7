package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// ask sends a request over a connection and returns the status of the answer, or 0
// where the connection ends without one.
func ask(t *testing.T, conn net.Conn, path, headers string) int {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: gateway\r\n"+headers+"\r\n"); err != nil {
		return 0
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// upgrade are the headers of a WebSocket.
const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// TestHTTPS: pages and sockets over TLS, behind a proxy that sends PROXY headers, and
// nothing without such a header or without TLS.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("gateway")
	gateway := gatewaykit.Start(t, map[string]string{
		"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "PROXY_PROTOCOL": "true", "TRUSTED_PROXIES": "127.0.0.1/32", "ADMIN_ADDR": testkit.FreeAddr(t),
		"SOCKET_MAX_CONNECTIONS_PER_IP": "1",
	})
	settings, err := tlsfiles.Files{CA: authority.File}.Client()
	if err != nil {
		t.Fatal(err)
	}
	settings.ServerName = "localhost"
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", gateway.Addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	from := func(client string) net.Conn {
		t.Helper()
		conn := dial()
		if _, err := fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 40000 443\r\n", client); err != nil {
			t.Fatal(err)
		}
		return tls.Client(conn, settings)
	}
	if status := ask(t, from("203.0.113.7"), "/health/live", ""); status != http.StatusOK {
		t.Errorf("a page over TLS: %d", status)
	}
	if status := ask(t, from("203.0.113.7"), "/ws/?EIO=4&transport=websocket", upgrade); status != http.StatusSwitchingProtocols {
		t.Errorf("a socket over TLS: %d", status)
	}
	if status := ask(t, tls.Client(dial(), settings), "/health/live", ""); status != 0 {
		t.Errorf("without a PROXY header: %d", status)
	}
	plain := dial()
	if _, err := io.WriteString(plain, "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n"); err != nil {
		t.Fatal(err)
	}
	if status := ask(t, plain, "/health/live", ""); status == http.StatusOK {
		t.Errorf("without TLS: %d", status)
	}
}
