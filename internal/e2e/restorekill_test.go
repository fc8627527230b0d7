package e2e_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/lab/processes"
)

// TestRestoreThatIsKilled kills `realtime restore` in the middle of the event stream: the
// gateway is not ready and takes nothing, every command says why, and the command that the
// list of operations names ends the restore.
func TestRestoreThatIsKilled(t *testing.T) {
	t.Parallel()
	k := backUp(t)
	o, post := k.operated, k.post
	for _, stream := range archive.Streams() {
		if err := k.js.DeleteStream(t.Context(), stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
	k.kill("restore", k.dir)

	eventually(t, "the gateway is not ready", func() error {
		response, err := http.Get(o.url("/health/ready"))
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if page := o.get("/health"); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, "restore") {
			return fmt.Errorf("%s: %s", response.Status, page)
		}
		return nil
	})
	if code := post(`{"kind":"domain","jobId":"job","id":"meanwhile","event":{"type":"t","occurredAt":"o"}}`); code != http.StatusServiceUnavailable {
		t.Errorf("publishing into a part of a log: %d", code)
	}
	o.command(1, nil, "log", "status")
	var left []lease.Operation
	o.command(0, &left, "operations")
	if len(left) != 1 || left[0].State != lease.Interrupted || left[0].Target != lease.WholeLog || !strings.HasPrefix(left[0].Resume, "realtime restore ") {
		t.Fatalf("the operations are %+v", left)
	}

	k.resume(left[0].Resume)
}

// TestReplacementThatIsKilled kills `realtime restore --replace` while it writes beside the
// log: the log stays whole, the gateway goes on with it, and the command that the list of
// operations names puts the restored one in its place.
func TestReplacementThatIsKilled(t *testing.T) {
	t.Parallel()
	k := backUp(t)
	if code := k.post(`{"kind":"domain","jobId":"job","id":"after-the-backup","event":{"type":"t","occurredAt":"o"}}`); code != http.StatusOK {
		t.Fatalf("publish: %d", code)
	}
	k.kill("restore", k.dir, "--replace")

	stream, err := k.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != backedUp+1 {
		t.Errorf("the log has %d messages", n)
	}
	k.ready()
	var left []lease.Operation
	k.command(0, &left, "operations")
	if len(left) != 1 || left[0].State != lease.Interrupted || left[0].Target != lease.WholeLog || !strings.HasPrefix(left[0].Resume, "realtime restore ") {
		t.Fatalf("the operations are %+v", left)
	}
	k.resume(left[0].Resume)
	if _, err := k.js.Stream(t.Context(), archive.Beside("NOVEL_EVENTS")); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("what was restored beside the log: %v", err)
	}
}

// backedUp is how many events a restorable log has.
const backedUp = 200

// restorable is a gateway with a log, and a backup of that.
type restorable struct {
	*operated
	t   *testing.T
	dir string
	js  jetstream.JetStream
}

// backUp starts a gateway, publishes events, and saves its log.
func backUp(t *testing.T) *restorable {
	t.Helper()
	k := &restorable{operated: startOperated(t), t: t, dir: filepath.Join(t.TempDir(), "backup")}
	var lines strings.Builder
	for n := range backedUp { // of several KiB that no compression makes small
		fmt.Fprintf(&lines, `{"kind":"domain","jobId":"job","id":"id-%d","event":{"type":"t","occurredAt":"o","text":%q}}`+"\n", n, randomText(4<<10))
	}
	if code := k.post(lines.String()); code != http.StatusOK {
		t.Fatalf("publish: %d", code)
	}
	k.command(0, nil, "backup", k.dir)
	conn, err := nats.Connect(k.env["NATS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if k.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	return k
}

// post publishes lines, and returns the status of the answer.
func (k *restorable) post(body string) int {
	k.t.Helper()
	response, err := http.Post(k.url("/api/realtime/events"), "application/x-ndjson", strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// kill kills a command that restores, in the middle of the event stream. Each answer of the
// server takes a while, so that there is a middle.
func (k *restorable) kill(command ...string) {
	k.t.Helper()
	slow, err := processes.NewProxy(strings.TrimPrefix(k.env["NATS_URL"], "nats://"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer slow.Close()
	slow.Delay(200 * time.Millisecond)
	direct := k.env
	defer func() { k.env = direct }()
	k.env = maps.Clone(direct)
	k.env["NATS_URL"] = "nats://" + slow.Addr()
	if r := k.signalled(syscall.SIGKILL, "restore NOVEL_EVENTS", command...); r.code != -1 {
		k.t.Fatalf("the restore was not killed, it ended with %d:\n%s", r.code, r.stderr)
	}
}

// ready waits until the gateway is ready.
func (k *restorable) ready() {
	k.t.Helper()
	eventually(k.t, "the gateway is ready", func() error {
		response, err := http.Get(k.url("/health/ready"))
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(k.get("/health"))
		}
		return nil
	})
}

// resume runs the command that ends a restore, and checks that the log is as it was saved.
func (k *restorable) resume(command string) {
	k.t.Helper()
	k.command(0, nil, strings.Fields(command)[1:]...)
	k.ready()
	stream, err := k.js.Stream(k.t.Context(), "NOVEL_EVENTS")
	if err != nil {
		k.t.Fatal(err)
	}
	if state := stream.CachedInfo().State; state.Msgs != backedUp {
		k.t.Errorf("the log has %+v", state)
	}
	var left []lease.Operation
	k.command(0, &left, "operations")
	if len(left) != 0 {
		k.t.Errorf("operations are left: %+v", left)
	}
}

// randomText returns a text of so many letters.
func randomText(length int) string {
	var text strings.Builder
	for text.Len() < length {
		text.WriteString(rand.Text())
	}
	return text.String()[:length]
}
