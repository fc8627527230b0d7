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
	o := startOperated(t)
	const events = 200
	var lines strings.Builder
	for n := range events { // of several KiB that no compression makes small
		fmt.Fprintf(&lines, `{"kind":"domain","jobId":"job","id":"id-%d","event":{"type":"t","occurredAt":"o","text":%q}}`+"\n", n, randomText(4<<10))
	}
	post := func(body string) int {
		t.Helper()
		response, err := http.Post(o.url("/api/realtime/events"), "application/x-ndjson", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if code := post(lines.String()); code != http.StatusOK {
		t.Fatalf("publish: %d", code)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	o.command(0, nil, "backup", dir)

	conn, err := nats.Connect(o.env["NATS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range archive.Streams() {
		if err := js.DeleteStream(t.Context(), stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
	// Each answer of the server takes a while, so that there is a middle to be killed in.
	slow, err := processes.NewProxy(strings.TrimPrefix(o.env["NATS_URL"], "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.Delay(200 * time.Millisecond)
	direct := o.env
	o.env = maps.Clone(direct)
	o.env["NATS_URL"] = "nats://" + slow.Addr()
	if r := o.signalled(syscall.SIGKILL, "restore NOVEL_EVENTS", "restore", dir); r.code != -1 {
		t.Fatalf("the restore was not killed, it ended with %d:\n%s", r.code, r.stderr)
	}
	o.env = direct

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

	o.command(0, nil, strings.Fields(left[0].Resume)[1:]...)
	eventually(t, "the gateway is ready", func() error {
		response, err := http.Get(o.url("/health/ready"))
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(o.get("/health"))
		}
		return nil
	})
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil || stream.CachedInfo().State.Msgs != events {
		t.Errorf("the log has %+v, %v", stream.CachedInfo().State, err)
	}
	o.command(0, &left, "operations")
	if len(left) != 0 {
		t.Errorf("operations are left: %+v", left)
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
