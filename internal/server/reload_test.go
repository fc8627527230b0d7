package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// reloading is a gateway whose settings are in files.
type reloading struct {
	t       *testing.T
	dir     string
	environ map[string]string
	gateway *server.App
	url     string
	level   slog.LevelVar
}

// write writes files of settings, by name.
func (r *reloading) write(files map[string]string) {
	r.t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// reload does what serve does upon SIGHUP.
func (r *reloading) reload() error {
	read, err := config.Load(r.environ)
	if err == nil {
		err = r.gateway.Reload(r.t.Context(), read, r.level.Set)
	}
	return err
}

// ask sends a request with a bearer token.
func (r *reloading) ask(method, path, bearer, body string) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	return response
}

// answers checks the status of a request.
func (r *reloading) answers(what, method, path, bearer, body string, want int) {
	r.t.Helper()
	response := r.ask(method, path, bearer, body)
	_ = response.Body.Close()
	if response.StatusCode != want {
		r.t.Errorf("%s: %s, want %d", what, response.Status, want)
	}
}

func signedWith(t *testing.T, secret string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "issuer", "aud": "realtime", "sub": "someone", "jobs": "job-1", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestReloadOfFiles: secrets, the catalogue and limits are replaced while a stream is read,
// which goes on; the audit trail has the names of what changed. Files that are invalid, or
// contradict what is in force, change nothing.
func TestReloadOfFiles(t *testing.T) {
	t.Parallel()
	const (
		tokenBefore, tokenAfter       = "a token secret with 32 bytes: one", "a token secret with 32 bytes: two"
		internalBefore, internalAfter = "internal token one", "internal token two"
		receiptBefore, receiptAfter   = "receipt secret one", "receipt secret two"
		noteKind                      = `{"kinds":[{"kind":"note","socketEvent":"novel.note","schema":{"type":"object"},"payload":["text"]}]}`
		otherKind                     = `{"kinds":[{"kind":"other","socketEvent":"novel.other","schema":{"type":"object"},"payload":[]}]}`
		note                          = `{"version":1,"kind":"note","jobId":"job-1","text":"a note of the new kind"}`
	)
	store := testkit.StartRedis(t)
	r := &reloading{t: t, dir: t.TempDir()}
	file := func(name string) string { return filepath.Join(r.dir, name) }
	r.environ = map[string]string{
		"CONFIG_FILE": file("realtime.toml"), "HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0",
		"NATS_LISTEN": "127.0.0.1:0", "REDIS_URL": store.URL(), "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime",
		"AUTH_HMAC_SECRET_FILE": file("token"), "INTERNAL_TOKEN_FILE": file("internal"), "RECEIPT_SECRET_FILE": file("receipt"), "CATALOGUE_FILE": file("catalogue.json"),
	}
	r.write(map[string]string{
		"realtime.toml": "SOCKET_CLUSTER_MAX_CONNECTIONS = 10\n", "token": tokenBefore, "internal": internalBefore, "receipt": receiptBefore, "catalogue.json": otherKind,
	})
	cfg, err := config.Load(r.environ)
	if err != nil {
		t.Fatal(err)
	}
	if r.gateway, err = server.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.gateway.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.gateway.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run the gateway: %v", err)
		}
	})
	await(t, r.url+"/health/ready")
	receipts := store.Client().Subscribe(t.Context(), messaging.ReceiptsChannel)
	defer receipts.Close()
	if _, err := receipts.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}

	const stream, publish = "/api/realtime/jobs/job-1/stream", "/api/realtime/events"
	following := r.ask(http.MethodGet, stream, signedWith(t, tokenBefore), "")
	defer following.Body.Close()
	lines := bufio.NewScanner(following.Body)
	if following.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("the stream: %s, %v", following.Status, lines.Err())
	}
	r.answers("a kind that is not there yet", http.MethodPost, publish, internalBefore, note, http.StatusBadRequest)

	r.write(map[string]string{"catalogue.json": "{", "internal": internalAfter})
	if err := r.reload(); err == nil {
		t.Error("a broken catalogue is taken")
	}
	r.write(map[string]string{"catalogue.json": noteKind, "realtime.toml": "SOCKET_CLUSTER_MAX_CONNECTIONS = 100\nSOCKET_MAX_CONNECTIONS = 50\n"})
	if err := r.reload(); err == nil || !strings.Contains(err.Error(), "it can never be met") {
		t.Errorf("a limit above that of the cluster, which takes a restart: %v", err)
	}
	r.answers("nothing is changed", http.MethodGet, "/metrics", internalBefore, "", http.StatusOK)

	r.write(map[string]string{"token": tokenAfter, "receipt": receiptAfter, "realtime.toml": "SOCKET_CLUSTER_MAX_CONNECTIONS = 10\nSOCKET_MAX_CONNECTIONS = 1\nLOG_LEVEL = \"warn\"\n"})
	if err := r.reload(); err != nil {
		t.Fatal(err)
	}
	if r.level.Level() != slog.LevelWarn {
		t.Errorf("the level is %s", r.level.Level())
	}
	r.answers("the internal token before", http.MethodGet, "/metrics", internalBefore, "", http.StatusUnauthorized)
	r.answers("the new one", http.MethodGet, "/metrics", internalAfter, "", http.StatusOK)
	r.answers("a token of the secret before", http.MethodGet, "/api/novel/job-1/events", signedWith(t, tokenBefore), "", http.StatusUnauthorized)
	r.answers("a token of the new one", http.MethodGet, "/api/novel/job-1/events", signedWith(t, tokenAfter), "", http.StatusOK)
	beyond := r.ask(http.MethodGet, stream, signedWith(t, tokenAfter), "")
	refused, err := io.ReadAll(beyond.Body) // which ends, as a stream that is accepted does not
	_ = beyond.Body.Close()
	if err != nil || !strings.Contains(string(refused), string(messaging.CodeMaxConnectionsExceeded)) {
		t.Errorf("a stream beyond the new limit: %s, %v", refused, err)
	}
	r.answers("the new kind", http.MethodPost, publish, internalAfter, note, http.StatusCreated)
	for lines.Scan() && !strings.Contains(lines.Text(), "a note of the new kind") {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended: %v", err)
	}
	if err := store.Client().Publish(t.Context(), messaging.EventsChannel, `{"version":1,"kind":"note","jobId":"job-1","id":"first"}`).Err(); err != nil {
		t.Fatal(err)
	}
	message, err := receipts.ReceiveMessage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if receipt, _, err := messaging.ReceiptKey(receiptAfter).Decode([]byte(message.Payload)); err != nil || receipt.ID != "first" {
		t.Errorf("a receipt with the new secret: %+v, %v", receipt, err)
	}

	conn, err := nats.Connect(r.gateway.NATSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	trail, err := audit.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	reloads, err := trail.Reloads(t.Context())
	want := []string{"INTERNAL_TOKEN", "RECEIPT_SECRET", "SOCKET_MAX_CONNECTIONS", "AUTH_HMAC_SECRET", "LOG_LEVEL", "CATALOGUE_FILE"}
	if err != nil || len(reloads) != 1 || !slices.Equal(reloads[0].Changed, want) || len(reloads[0].Restart) > 0 {
		t.Errorf("the audit trail has %+v, %v", reloads, err)
	}
}

// await waits until a page answers with 200.
func await(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(needPatience); time.Now().Before(end); <-tick.C {
		response, err := http.Get(url)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s does not answer with 200", url)
}
