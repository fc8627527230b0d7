package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

func TestUnavailableLogIsAnsweredUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLogThatIsAway)
}

func testLogThatIsAway(t *testing.T) {
	cfg := quick()
	cfg.PublishTimeout = 50 * time.Millisecond
	d := openDoorInBubble(t, cfg)
	open := d.log.block()
	defer open()
	lines := []string{event("a", "", 1), "poison", event("a", "", 2), event("b", "", 3), event("a", "", 4)}
	single := d.post(t, jsonType, event("a", "id", 1))
	single.expectUnavailable(t)
	if !strings.Contains(single.Message, "stored or not") {
		t.Errorf("an append under way is answered with %q", single.Message)
	}
	many := d.post(t, ndjsonType, strings.Join(lines, "\n"))
	many.expectUnavailable(t)
	for n, want := range []string{"stored or not", "one JSON object", "not stored", "stored or not", "not stored"} {
		if r := many.Results[n]; r.OK || !strings.Contains(r.Message, want) {
			t.Errorf("line %d is answered with %+v, want %q", n+1, r, want)
		}
	}
	d.log.failWith(errPassing)
	d.post(t, jsonType, event("a", "id", 1)).expectUnavailable(t)
	d.expectEmpty(t)
	d.log.failWith(nil)

	// Events that were given up are not stored later.
	answer := d.post(t, ndjsonType, event("a", "id", 1)+"\n"+event("b", "", 5))
	if answer.status != http.StatusOK {
		t.Errorf("afterwards: answered %d with %s", answer.status, answer.text)
	}
	d.expectStored(t, []string{event("a", "id", 1), event("b", "", 5)}, answer)
	if got := d.metric(t, "http_refused_events_total{unavailable}"); got != 6 {
		t.Errorf("%v events counted as unavailable, want 6", got)
	}
}

// A log that does not return when its context ends does not delay the answers. Later events
// of the job wait for the log, in their order.
func TestAnswersDoNotWaitForALogThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := quick()
		cfg.PublishTimeout = 10 * time.Second
		d := openDoorInBubble(t, cfg)
		dialled := make(chan struct{}) // the client of the log holds its lock while it dials
		d.log.before = func(context.Context, string) error {
			<-dialled
			return nil
		}
		started := time.Now()
		stuck := d.post(t, ndjsonType, strings.Join([]string{event("a", "", 1), event("a", "", 2)}, "\n"))
		if took := time.Since(started); took > cfg.PublishTimeout+time.Second {
			t.Errorf("answered after %s, the limit is %s", took, cfg.PublishTimeout)
		}
		stuck.expectUnavailable(t)
		for n, want := range []string{"stored or not", "not stored"} {
			if r := stuck.Results[n]; r.OK || !strings.Contains(r.Message, want) {
				t.Errorf("line %d is answered with %+v, want %q", n+1, r, want)
			}
		}
		time.AfterFunc(time.Second, func() { close(dialled) })
		if next := d.post(t, jsonType, event("a", "", 3)); next.status != http.StatusCreated {
			t.Errorf("afterwards: answered %d with %s", next.status, next.text)
		}
		if stored := d.log.stored(); len(stored) != 2 || string(stored[1].Body) != event("a", "", 3) {
			t.Errorf("stored %d events, want the first and then the last", len(stored))
		}
	})
}

// During outages of the log, no answer may say that an event is stored when it is not.
func TestAnswersAreCorrectDuringOutages(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.PublishTimeout = 20 * time.Millisecond
	for round := range 20 {
		d := openDoor(t, cfg)
		appends := 0
		var counting sync.Mutex // guards appends
		d.log.before = func(ctx context.Context, _ string) error {
			counting.Lock()
			appends++
			stuck := appends > round
			counting.Unlock()
			if !stuck {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		var lines []string
		for n := range 20 {
			lines = append(lines, event(fmt.Sprint("job-", n%3), "", n))
		}
		answer := d.post(t, ndjsonType, strings.Join(lines, "\n"))
		answer.expectUnavailable(t)
		d.expectStored(t, lines, answer)
		gone := make(map[string]bool) // after one line of a job no later one is stored
		for n, result := range answer.Results {
			job := fmt.Sprint("job-", n%3)
			if result.OK && gone[job] {
				t.Errorf("round %d: line %d is stored, one before it of %s is not", round, n+1, job)
			}
			gone[job] = gone[job] || !result.OK
		}
		d.expectEmpty(t)
	}
}

func TestLinesBehindAStuckEventAreWithdrawn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := serve(t, b.subscribed(t, quick()), b.log)
	open := b.log.block()
	defer open()
	b.publish(t, event("job", "", 1), event("job", "", 2))
	eventually(t, "2 events to be read", func() bool { return d.metric(t, "pending_events") == 2 })
	answer := d.post(t, ndjsonType, event("job", "", 3)+"\n"+event("job", "", 4), limitHeader, "50ms")
	answer.expectUnavailable(t)
	for _, result := range answer.Results {
		if !strings.HasPrefix(result.Message, "not stored") {
			t.Errorf("line %d waited in vain, and is answered with %q", result.Line, result.Message)
		}
	}
	if pending := d.metric(t, "pending_events"); pending != 2 {
		t.Errorf("%v events pending, want the 2 from Redis", pending)
	}
	open()
	b.log.waitRecords(t, 2)
	if answer := d.post(t, jsonType, event("job", "", 5)); answer.status != http.StatusCreated || answer.Sequence != 3 {
		t.Errorf("afterwards: answered %d with %s, want sequence 3", answer.status, answer.text)
	}
}

// stalled sends a request whose body stops in the middle.
func (d *door) stalled(t *testing.T, contentType, sent string, declared int) net.Conn {
	t.Helper()
	conn, err := d.dial(t.Context(), "tcp", d.server.Listener.Addr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, declared, sent); err != nil {
		t.Fatalf("send: %v", err)
	}
	return conn
}

func TestSlowBodyTimesOut(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.BodyTimeout = 50 * time.Millisecond
	d := openDoor(t, cfg)
	for name, test := range map[string]struct{ contentType, want string }{
		"read":   {ndjsonType, "HTTP/1.1 408 "},
		"unread": {"text/plain", "HTTP/1.1 415 "},
	} {
		conn := d.stalled(t, test.contentType, event("job", "", 1)+"\n", 1000)
		text, err := io.ReadAll(conn) // until the server hangs up
		if err != nil || !strings.HasPrefix(string(text), test.want) {
			t.Errorf("%s: answered %q, %v, want %s", name, text, err, test.want)
		}
	}
	d.expectEmpty(t)
	if stored := len(d.log.stored()); stored != 0 {
		t.Errorf("%d records of half a body", stored)
	}
}

// The deadline of the body must not be mistaken for a disconnected client while the log is
// awaited.
func TestBodyTimeoutEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBodyTimeout)
}

func testBodyTimeout(t *testing.T) {
	cfg := quick()
	cfg.BodyTimeout = 30 * time.Millisecond
	d := openDoorInBubble(t, cfg)
	open := d.log.block()
	answer := d.postAsync(t, jsonType, event("job", "", 1))
	select {
	case got := <-answer:
		t.Fatalf("answered %d with %s, want none yet", got.status, got.text)
	case <-time.After(5 * cfg.BodyTimeout):
	}
	open()
	if got := <-answer; got.status != http.StatusCreated {
		t.Errorf("answered %d with %s", got.status, got.text)
	}
}

func TestDisconnectedClientLeavesNothingPending(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())

	t.Log("in the middle of the body")
	conn := d.stalled(t, ndjsonType, event("job", "", 1)+"\n", 1000)
	eventually(t, "the request", func() bool { return d.metric(t, "http_pending_requests") == 1 })
	_ = conn.Close()
	d.expectEmpty(t)
	if got := d.metric(t, "http_received_events_total"); got != 0 {
		t.Errorf("%v events of half a body", got)
	}

	t.Log("while the log is waited for")
	open := d.log.block()
	defer open()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	r := d.request(ctx, ndjsonType, strings.NewReader(event("job", "", 1)+"\n"+event("job", "", 2)))
	go func() { // ends with ctx
		_, err := d.do(r)
		left <- err
	}()
	eventually(t, "the events", func() bool { return d.metric(t, "pending_events") == 2 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	d.expectEmpty(t) // the log is still away
	open()
	if answer := d.post(t, jsonType, event("job", "", 3)); answer.status != http.StatusCreated || answer.Sequence != 1 {
		t.Errorf("afterwards: answered %d with %s", answer.status, answer.text)
	}
}

func TestStopAnswersWaitingRequests(t *testing.T) {
	t.Parallel()
	for name, drains := range map[string]bool{"drained": true, "given up": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			if !drains {
				cfg.DrainTimeout = 30 * time.Millisecond
			}
			d := openDoor(t, cfg)
			open := d.log.block()
			defer open()
			waiting := d.postAsync(t, ndjsonType, event("a", "", 1)+"\n"+event("a", "", 2))
			eventually(t, "the events", func() bool { return d.metric(t, "pending_events") == 2 })
			d.cancel()
			if drains {
				eventually(t, "the end of the intake", func() bool {
					answer := d.post(t, jsonType, event("b", "", 3))
					return answer.status == http.StatusServiceUnavailable
				})
				open()
			}
			if err := d.stop(); err != nil {
				t.Errorf("run: %v, want nil because nobody was promised anything", err)
			}
			answer := <-waiting
			if drains && answer.status != http.StatusOK {
				t.Errorf("answered %d with %s, want 200", answer.status, answer.text)
			}
			if !drains {
				answer.expectUnavailable(t)
			}
			d.expectStored(t, []string{event("a", "", 1), event("a", "", 2)}, answer)
		})
	}
}

// Events over HTTP have no receipt in Redis, and the receipts of other events are not lost.
func TestReceiptsAreForRedisAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	receipts := b.receipts(t)
	d := serve(t, b.subscribed(t, quick()), b.log)
	if answer := d.post(t, jsonType, event("job", "http", 1)); answer.status != http.StatusCreated {
		t.Errorf("answered %d with %s", answer.status, answer.text)
	}
	b.publish(t, event("job", "redis", 2), event("job", "http", 1))
	want := []messaging.Receipt{
		{ID: "redis", JobID: "job", Sequence: 2},
		{ID: "http", JobID: "job", Sequence: 1, Duplicate: true},
	}
	for _, want := range want {
		if got := next(t, receipts); got != want {
			t.Errorf("receipt %+v, want %+v", got, want)
		}
	}
}
