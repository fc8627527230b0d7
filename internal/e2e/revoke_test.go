package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

const (
	revokeSecret = "0123456789abcdef0123456789abcdef"
	revokeToken  = "internal-0123456789abcdef"
)

// bearer is one socket with a token, read by a goroutine of its own.
type bearer struct {
	conn    *websocket.Conn
	subject string
	pongs   chan struct{}
	ended   chan struct{} // closed once last and at are set
	last    string        // the last event
	at      time.Time

	mu sync.Mutex // for writing
}

func (b *bearer) send(packet string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// read reads until the end of the connection.
func (b *bearer) read() {
	defer close(b.ended)
	for {
		_ = b.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)) // the gateway pings more often
		_, packet, err := b.conn.ReadMessage()
		if err != nil {
			b.at = time.Now()
			return
		}
		switch text := string(packet); {
		case text == "2":
			_ = b.send("3")
		case strings.HasPrefix(text, `42["pong"`):
			b.pongs <- struct{}{}
		case strings.HasPrefix(text, "42"):
			b.last = text
		}
	}
}

// bear connects a socket with a token of a subject, and returns the answer to its CONNECT.
func bear(t *testing.T, g *gateway, subject string, issued time.Time) (b *bearer, answer string, err error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "issuer", "aud": "realtime", "sub": subject, "jobs": "*", "iat": issued.Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(revokeSecret))
	if err != nil {
		return nil, "", err
	}
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.address()+"/ws/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, "", err
	}
	_ = response.Body.Close()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	b = &bearer{conn: conn, subject: subject, pongs: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := b.send(`40{"token":"` + token + `"}`); err != nil {
		return nil, "", err
	}
	for !strings.HasPrefix(answer, "4") {
		_, packet, err := conn.ReadMessage()
		if err != nil {
			return nil, "", err
		}
		answer = string(packet)
	}
	return b, answer, nil
}

// TestRevocationUnderLoad: of 1,000 sockets of 100 subjects at two gateways, those of the
// revoked subject are closed and no other one, and the subject is still refused after both
// processes were killed and started again.
func TestRevocationUnderLoad(t *testing.T) {
	t.Parallel()
	env := settings{
		"AUTH_HMAC_SECRET": revokeSecret, "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime", "INTERNAL_TOKEN": revokeToken, "NATS_SYNC": "10s",
	}
	with := func(name, value string) settings {
		all := settings{name: value}
		for name, value := range env {
			all[name] = value
		}
		return all
	}
	first := startGateway(t, with("NATS_LISTEN", freeAddress(t)))
	second := startGateway(t, with("NATS_URL", natsURL(first)))
	gateways := []*gateway{first, second}
	issued := time.Now().Add(-time.Minute)
	const sockets, subjects, revoked = 1000, 100, "subject-42"
	all := make([]*bearer, sockets)
	var connecting, reading sync.WaitGroup
	failures := make(chan error, sockets)
	for worker := range 20 {
		connecting.Go(func() {
			for n := worker; n < sockets; n += 20 {
				b, answer, err := bear(t, gateways[n/subjects%2], fmt.Sprint("subject-", n%subjects), issued)
				if err != nil || !strings.HasPrefix(answer, "40") {
					failures <- fmt.Errorf("socket %d: %s %w", n, answer, err)
					return
				}
				all[n] = b
				reading.Go(b.read) // until the connection is closed
			}
		})
	}
	connecting.Wait()
	t.Cleanup(reading.Wait)
	t.Cleanup(func() {
		for _, b := range all {
			if b != nil {
				_ = b.conn.Close()
			}
		}
	})
	if len(failures) > 0 {
		t.Fatal(<-failures)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, second.url("/internal/api/v1/revocations"), strings.NewReader(`{"kind":"subject","value":"`+revoked+`","reason":"left"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+revokeToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ At time.Time }
	err = json.NewDecoder(answer.Body).Decode(&made)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("revoke: %s, %v", answer.Status, err)
	}
	var last time.Time
	closed := 0
	for _, b := range all {
		if b.subject != revoked {
			continue
		}
		select {
		case <-b.ended:
		case <-time.After(20 * time.Second):
			t.Fatal("a revoked socket is still open after 20 s")
		}
		closed++
		if last = later(last, b.at); !strings.Contains(b.last, `"code":"TOKEN_INVALID"`) {
			t.Errorf("a revoked socket ended with %q", b.last)
		}
	}
	t.Logf("%d of %d sockets at two gateways were closed %s after the revocation", closed, sockets, last.Sub(made.At).Round(time.Millisecond))
	for _, b := range all {
		if b.subject != revoked {
			if err := b.send(`42["ping"]`); err != nil {
				t.Fatalf("a socket of %s: %v", b.subject, err)
			}
		}
	}
	for _, b := range all {
		if b.subject == revoked {
			continue
		}
		select {
		case <-b.pongs:
		case <-b.ended:
			t.Fatalf("a socket of %s was closed: %s", b.subject, b.last)
		}
	}

	refused := func(g *gateway) error {
		b, answer, err := bear(t, g, revoked, issued)
		if err != nil {
			return err
		}
		defer func() { _ = b.conn.Close() }()
		if !strings.HasPrefix(answer, "44") || !strings.Contains(answer, "TOKEN_INVALID") {
			t.Errorf("the revoked subject was answered %s", answer)
		}
		return nil
	}
	second.kill()
	first.kill()
	first.start()
	second.start()
	for _, g := range gateways {
		eventually(t, "an answer to the revoked subject", func() error { return refused(g) })
		b, answer, err := bear(t, g, "subject-1", issued)
		if err != nil || !strings.HasPrefix(answer, "40") {
			t.Fatalf("another subject after the restart: %s %v", answer, err)
		}
		_ = b.conn.Close()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
