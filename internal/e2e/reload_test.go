package e2e_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// reloadSockets is how many sockets are open while the settings and the certificate are
// replaced.
const reloadSockets = 1000

// TestReload: SIGHUP applies what the settings file says of origins, limits and the level,
// and the certificate, and ends no socket; a bad file changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	// Where the tests run under nohup, the gateway would inherit that SIGHUP is ignored.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("gateway")
	file := filepath.Join(t.TempDir(), "realtime.toml")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const before, after = "https://before.example", "https://after.example"
	configure(fmt.Sprintf("SOCKET_CLIENT_ORIGIN = %q\nSOCKET_MAX_CONNECTIONS = 5000\n", before))
	admin := testkit.FreeAddr(t)
	g := &gateway{t: t, command: []string{build(t, "realtime"), "serve"}, port: "0", pages: "http://" + admin, env: settings{
		"CONFIG_FILE": file, "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "HOST": "127.0.0.1", "ADMIN_ADDR": admin,
		"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key,
	}}
	t.Cleanup(func() {
		if g.process != nil {
			g.stop()
		}
	})
	g.start()
	trusting, err := tlsfiles.Files{CA: authority.File}.Client()
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{TLSClientConfig: trusting, HandshakeTimeout: patience}
	// connect returns a socket that has joined, or an error where the origin is refused.
	connect := func(origin string) (*websocket.Conn, error) {
		conn, response, err := dialer.Dial("wss://"+g.address()+"/ws/?EIO=4&transport=websocket", http.Header{"Origin": {origin}})
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
			return nil, err
		}
		for range 2 { // the transport's handshake, and the answer to the connect
			_, text, err := conn.ReadMessage()
			if err != nil {
				return nil, err
			}
			if len(text) > 1 && text[0] == '4' && text[1] != '0' {
				_ = conn.Close()
				return nil, fmt.Errorf("refused: %s", text)
			}
		}
		return conn, nil
	}
	var ended atomic.Int64
	var readers sync.WaitGroup
	var sockets []*websocket.Conn
	for range reloadSockets {
		conn, err := connect(before)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, conn)
		readers.Go(func() { // ends with the socket
			for {
				_, text, err := conn.ReadMessage()
				if err != nil {
					ended.Add(1)
					return
				}
				if string(text) == "2" { // a ping
					_ = conn.WriteMessage(websocket.TextMessage, []byte("3")) // shows in the next read
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, conn := range sockets {
			_ = conn.Close()
		}
		readers.Wait()
	})
	reload := func(logged string) {
		t.Helper()
		if err := g.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the gateway logs "+logged, func() error {
			if _, found := g.output.find(regexp.MustCompile("(" + logged + ")")); !found {
				return fmt.Errorf("not yet: %s", g.output.tail())
			}
			return nil
		})
	}
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", g.address(), trusting)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := shown()

	configure("SOCKET_CLIENT_ORIGIN = [")
	reload("nothing is changed")
	conn, err := connect(before)
	if err != nil {
		t.Errorf("after a bad file: %v", err)
	} else {
		_ = conn.Close()
	}

	authority.Issue("gateway")
	configure(fmt.Sprintf("SOCKET_CLIENT_ORIGIN = %q\nSOCKET_MAX_CONNECTIONS = 1001\nSHUTDOWN_TIMEOUT = \"16s\"\nLOG_LEVEL = \"debug\"\n", after))
	reload("the settings are reloaded")
	for _, line := range []string{
		`"a setting was changed","setting":"SOCKET_CLIENT_ORIGIN"`, `"a setting was changed","setting":"LOG_LEVEL"`,
		`"a setting was changed","setting":"SOCKET_MAX_CONNECTIONS"`,
		`"a setting takes a restart, and is not changed","setting":"SHUTDOWN_TIMEOUT"`, `the certificate was replaced`,
	} {
		if _, found := g.output.find(regexp.MustCompile("(" + regexp.QuoteMeta(line) + ")")); !found {
			t.Errorf("the log has no %s", line)
		}
	}
	if shown() == first {
		t.Error("the certificate before is shown")
	}
	if conn, err := connect(before); err == nil {
		_ = conn.Close()
		t.Error("the origin before is taken")
	}
	if conn, err := connect(after); err != nil {
		t.Errorf("the new origin: %v", err)
	} else {
		defer conn.Close()
		if beyond, err := connect(after); err == nil {
			_ = beyond.Close()
			t.Errorf("a socket beyond the new limit of %d is taken", reloadSockets+1)
		}
	}
	if n := ended.Load(); n != 0 {
		t.Errorf("%d of %d sockets ended", n, reloadSockets)
	}
}
