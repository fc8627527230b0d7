package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestEdgeSettings: the settings of the transport reach it, to the byte.
func TestEdgeSettings(t *testing.T) {
	t.Parallel()
	const largest = 2048
	g := startGateway(t, settings{
		"SOCKET_MAX_PAYLOAD_BYTES": fmt.Sprint(largest), "SOCKET_CONNECT_TIMEOUT": "2s", "SOCKET_HANDSHAKE_TIMEOUT": "2s", // which the tests themselves have to keep
	})
	t.Run("slow headers", func(t *testing.T) {
		conn, err := net.Dial("tcp", g.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "GET /ws/ HTTP/1.1\r\nHost: x\r\nX-Slow"); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for answer := bufio.NewReader(conn); ; {
			if _, err := answer.ReadByte(); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					t.Errorf("the connection is open after %s", patience)
				}
				break
			}
		}
		eventually(t, "the timeout is counted", func() error {
			if strings.Contains(g.get("/metrics"), "\nrealtime_app_handshake_timeouts_total 0\n") {
				return errors.New("none is counted")
			}
			return nil
		})
	})
	t.Run("no namespace", func(t *testing.T) {
		if code := closedWith(t, dialTransport(t, g)); code != websocket.CloseNormalClosure {
			t.Errorf("close code %d", code)
		}
	})
	t.Run("payload", func(t *testing.T) {
		for _, size := range []int{largest - 1, largest, largest + 1} {
			conn := dialTransport(t, g)
			say(t, conn, "40")
			event := `42["ping",""]`
			say(t, conn, `42["ping","`+strings.Repeat("x", size-len(event))+`"]`)
			if size > largest {
				if code := closedWith(t, conn); code != websocket.CloseMessageTooBig {
					t.Errorf("%d bytes: close code %d", size, code)
				}
				continue
			}
			for !strings.HasPrefix(hear(t, conn), `42["pong"`) {
			}
		}
	})
}

// dialTransport opens a WebSocket that has joined no namespace.
func dialTransport(t *testing.T, g *gateway) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+g.address()+"/ws/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn
}

func say(t *testing.T, conn *websocket.Conn, packet string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_, data, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// closedWith reads until the server closes, and returns the code.
func closedWith(t *testing.T, conn *websocket.Conn) int {
	t.Helper()
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			closed, ok := err.(*websocket.CloseError)
			if !ok {
				t.Fatalf("the connection ended with %v", err)
			}
			return closed.Code
		}
	}
}
