package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
)

const hmacSecret = "0123456789abcdef0123456789abcdef"

// withTokens are the settings with which clients need a token.
var withTokens = map[string]string{"AUTH_HMAC_SECRET": hmacSecret, "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime"}

// issue signs a token for all jobs.
func issue(t *testing.T, subject, id, key string, issued time.Time) string {
	t.Helper()
	return issueScoped(t, subject, id, key, "", issued)
}

// issueScoped is issue for a token with a scope.
func issueScoped(t *testing.T, subject, id, key, scope string, issued time.Time) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "issuer", "aud": "realtime", "sub": subject, "jti": id, "jobs": "*", "scope": scope,
		"iat": issued.Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if key != "" {
		token.Header["kid"] = key
	}
	signed, err := token.SignedString([]byte(hmacSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// wire is a Socket.IO socket at the level of its packets.
type wire struct {
	t    *testing.T
	conn *websocket.Conn
	// opened is the first packet of the transport.
	opened string
}

// open connects a socket with a token, and returns the answer to its CONNECT.
func open(t *testing.T, gateway, token string) (socket *wire, answer string) {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(gateway, "http", "ws", 1)+"/ws/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(needPatience))
	w := &wire{t: t, conn: conn}
	w.opened = w.await("0")
	auth, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	w.send("40" + string(auth))
	return w, w.await("4")
}

func (w *wire) send(packet string) {
	w.t.Helper()
	if err := w.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		w.t.Fatal(err)
	}
}

// await reads until a packet with a prefix.
func (w *wire) await(prefix string) string {
	w.t.Helper()
	for {
		_, packet, err := w.conn.ReadMessage()
		if err != nil {
			w.t.Fatalf("no packet %q: %v", prefix, err)
		}
		if strings.HasPrefix(string(packet), prefix) {
			return string(packet)
		}
	}
}

// awaitEnd reads until the connection has ended, and checks that it ended with the error
// of a token that does not count.
func (w *wire) awaitEnd() {
	w.t.Helper()
	var last string
	for {
		_, packet, err := w.conn.ReadMessage()
		if err != nil {
			break
		}
		if strings.HasPrefix(string(packet), "42") {
			last = string(packet)
		}
	}
	if !strings.Contains(last, `"code":"TOKEN_INVALID"`) {
		w.t.Errorf("a revoked socket ended with %s", last)
	}
}

// runGateway runs a gateway until stop is called.
func runGateway(t *testing.T, more map[string]string) (o *operating, stop func()) {
	t.Helper()
	environ := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "INTERNAL_TOKEN": needToken, "ADMIN_READ_TOKEN": readToken, "DATA_DIR": t.TempDir(),
	}
	maps.Copy(environ, withTokens)
	maps.Copy(environ, more)
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	n := &needing{t: t, cfg: cfg, log: &lines{}}
	if n.gateway, err = server.Open(t.Context(), cfg, config.NewLogger(n.log, cfg)); err != nil {
		t.Fatal(err)
	}
	n.url = "http://" + n.gateway.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.gateway.Run(ctx) }() // ends with ctx
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the gateway: %v", err)
		}
	}
	t.Cleanup(stop)
	n.until("the gateway is well", func() error { return n.well(nothing) })
	return &operating{n}, stop
}

// TestRevoke: of 120 sockets of 12 subjects at two gateways, those of one revoked subject
// are closed at both, and no other. The subject is refused everywhere, also after both
// gateways were stopped; a token issued later counts. A token and a key can be revoked, too.
func TestRevoke(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first, stopFirst := runGateway(t, map[string]string{"DATA_DIR": folder, "NATS_LISTEN": "127.0.0.1:0"})
	second, stopSecond := runGateway(t, map[string]string{"NATS_URL": first.gateway.NATSURL()})
	issued := time.Now().Add(-time.Minute)
	sockets := make(map[string][]*wire)
	for n := range 120 {
		subject := fmt.Sprintf("subject-%d", n%12)
		gateway := []*operating{first, second}[n/12%2]
		socket, answer := open(t, gateway.url, issue(t, subject, fmt.Sprint(n), "key-1", issued))
		if !strings.HasPrefix(answer, "40") {
			t.Fatalf("%s is refused: %s", subject, answer)
		}
		sockets[subject] = append(sockets[subject], socket)
	}
	stream := first.stream(issue(t, "subject-3", "stream", "", issued))
	var made struct{ At time.Time }
	second.operate("/revocations", `{"kind":"subject","value":"subject-3","reason":"left"}`, &made)
	for _, socket := range sockets["subject-3"] {
		socket.awaitEnd()
	}
	t.Logf("10 sockets at two gateways ended %s after the revocation", time.Since(made.At).Round(time.Millisecond))
	<-stream
	delete(sockets, "subject-3")
	for _, others := range sockets {
		for _, socket := range others {
			socket.send(`42["ping"]`)
		}
		for _, socket := range others {
			socket.await(`42["pong"`)
		}
	}
	again := issue(t, "subject-3", "again", "key-1", issued)
	later := issue(t, "subject-3", "later", "", made.At.Add(2*time.Second))
	refused := func(gateway *operating) {
		t.Helper()
		if _, answer := open(t, gateway.url, again); !strings.HasPrefix(answer, "44") || !strings.Contains(answer, "TOKEN_INVALID") {
			t.Errorf("a revoked subject: %s", answer)
		}
		if status, answer := gateway.ask(http.MethodGet, "/api/novel/job/events", again, "", nil); status != http.StatusUnauthorized {
			t.Errorf("a revoked subject over REST: %d %s", status, answer)
		}
		if _, answer := open(t, gateway.url, later); !strings.HasPrefix(answer, "40") {
			t.Errorf("a token that was issued after the revocation: %s", answer)
		}
	}
	refused(first)
	refused(second)

	// A token by its id: the one that a client would go on with.
	next := issue(t, "subject-5", "next", "key-2", issued)
	first.operate("/revocations", `{"kind":"token","value":"next"}`, &made)
	socket := sockets["subject-5"][0]
	socket.send(`420["refresh",{"token":"` + next + `"}]`)
	if answer := socket.await("430"); !strings.Contains(answer, "TOKEN_INVALID") {
		t.Errorf("a refresh with a revoked token: %s", answer)
	}
	first.operate("/revocations/lift", `{"kind":"token","value":"next"}`, &made)
	first.until("the revocation has ended", func() error {
		if _, answer := open(t, second.url, next); !strings.HasPrefix(answer, "40") {
			return fmt.Errorf("%s", answer)
		}
		return nil
	})
	// A key: everybody who came with it.
	first.operate("/revocations", `{"kind":"key","value":"key-1"}`, &made)
	for _, others := range sockets {
		for _, socket := range others {
			socket.awaitEnd()
		}
	}

	stopSecond()
	stopFirst()
	first, _ = runGateway(t, map[string]string{"DATA_DIR": folder, "NATS_LISTEN": "127.0.0.1:0"})
	second, _ = runGateway(t, map[string]string{"NATS_URL": first.gateway.NATSURL()})
	refused(first)
	refused(second)
	var list struct {
		Items []struct{ Kind, Value string }
	}
	second.read("/revocations", &list)
	if fmt.Sprint(list.Items) != "[{key key-1} {subject subject-3}]" {
		t.Errorf("revoked after a restart: %v", list.Items)
	}
}

// stream opens an event stream with a token, and returns a channel that is closed when it
// has ended.
func (o *operating) stream(token string) <-chan struct{} {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+"/api/realtime/jobs/job/stream", nil)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		o.t.Fatalf("stream: %s", answer.Status)
	}
	ended := make(chan struct{})
	go func() { // ends with the stream
		defer close(ended)
		defer func() { _ = answer.Body.Close() }()
		buffer := make([]byte, 4096)
		for {
			if _, err := answer.Body.Read(buffer); err != nil {
				return
			}
		}
	}()
	return ended
}
