package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// TestBadRequests: each gets one novel.error and, where it asked for one, one
// failed acknowledgement; the socket stays.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	const (
		toSubscribe   = "jobId is required to subscribe."
		toUnsubscribe = "jobId is required to unsubscribe."
	)
	raw := func(text string) []any { return []any{json.RawMessage(text)} }
	for _, test := range []struct {
		name    string
		event   string
		args    []any
		code    messaging.Code
		message string // "" for whatever the code says
	}{
		{"no argument", "subscribe", nil, messaging.CodeJobIDRequired, toSubscribe},
		{"null", "subscribe", raw(`null`), messaging.CodeJobIDRequired, toSubscribe},
		{"no object", "subscribe", raw(`"job"`), messaging.CodeJobIDRequired, toSubscribe},
		{"an array", "subscribe", raw(`["job"]`), messaging.CodeJobIDRequired, toSubscribe},
		{"no jobId", "subscribe", raw(`{}`), messaging.CodeJobIDRequired, toSubscribe},
		{"null jobId", "subscribe", raw(`{"jobId":null}`), messaging.CodeJobIDRequired, toSubscribe},
		{"empty jobId", "subscribe", raw(`{"jobId":""}`), messaging.CodeJobIDRequired, toSubscribe},
		{"number", "subscribe", raw(`{"jobId":7}`), messaging.CodeJobIDInvalid, messaging.MessageJobIDNoString},
		{"object", "subscribe", raw(`{"jobId":{"$ne":1}}`), messaging.CodeJobIDInvalid, messaging.MessageJobIDNoString},
		{"blanks", "subscribe", raw(`{"jobId":" \t\u00a0\ufeff"}`), messaging.CodeJobIDRequired, toSubscribe},
		{"blanks to unsubscribe", "unsubscribe", raw(`{"jobId":"  "}`), messaging.CodeJobIDRequired, toUnsubscribe},
		{"number to unsubscribe", "unsubscribe", raw(`{"jobId":7}`), messaging.CodeJobIDInvalid, messaging.MessageJobIDNoString},
		{"10 KB", "subscribe", raw(`{"jobId":"` + strings.Repeat("j", 10<<10) + `"}`), messaging.CodeJobIDInvalid, ""},
		{"257 bytes", "subscribe", raw(`{"jobId":"` + strings.Repeat("j", 257) + `"}`), messaging.CodeJobIDInvalid, ""},
		{"control character", "subscribe", raw(`{"jobId":"a\u0000b"}`), messaging.CodeJobIDInvalid, ""},
		{"line break", "subscribe", raw(`{"jobId":"a\nb"}`), messaging.CodeJobIDInvalid, ""},
		{"negative since", "subscribe", raw(`{"jobId":"job","since":-1}`), messaging.CodeSinceInvalid, ""},
		{"broken since", "subscribe", raw(`{"jobId":"job","since":1.5}`), messaging.CodeSinceInvalid, ""},
		{"worded since", "subscribe", raw(`{"jobId":"job","since":"soon"}`), messaging.CodeSinceInvalid, ""},
		{"empty since", "subscribe", raw(`{"jobId":"job","since":""}`), messaging.CodeSinceInvalid, ""},
		{"since true", "subscribe", raw(`{"jobId":"job","since":true}`), messaging.CodeSinceInvalid, ""},
		{"since an object", "subscribe", raw(`{"jobId":"job","since":{}}`), messaging.CodeSinceInvalid, ""},
		{"since an array", "subscribe", raw(`{"jobId":"job","since":[1]}`), messaging.CodeSinceInvalid, ""},
		{"since past 64 bits", "subscribe", raw(`{"jobId":"job","since":18446744073709551616}`), messaging.CodeSinceInvalid, ""},
		{"unsubscribe nothing", "unsubscribe", nil, messaging.CodeJobIDRequired, toUnsubscribe},
		{"unsubscribe empty", "unsubscribe", raw(`{"jobId":""}`), messaging.CodeJobIDRequired, toUnsubscribe},
		{"unsubscribe 10 KB", "unsubscribe", raw(`{"jobId":"` + strings.Repeat("j", 10<<10) + `"}`), messaging.CodeJobIDInvalid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{})
			c := s.connect()
			if test.message == "" {
				test.message = test.code.Message()
			}
			check := func(text string) {
				t.Helper()
				var problem struct {
					OK *bool `json:"ok"`
					messaging.Problem
				}
				if err := json.Unmarshal([]byte(text), &problem); err != nil {
					t.Fatal(err)
				}
				if problem.Code != test.code || problem.Message != test.message || problem.OK != nil && *problem.OK {
					t.Errorf("got %s, want %s %q", text, test.code, test.message)
				}
			}
			c.emit(test.event, test.args...)
			check(expect(t, c, messaging.EventError).Raw)
			check(c.ask(test.event, test.args...))
			expect(t, c, messaging.EventError)
			c.emit("ping")
			expect(t, c, messaging.EventPong)
			if got := s.snapshot().TotalSubscriptions; got != 0 {
				t.Errorf("%d subscriptions", got)
			}
		})
	}
}

// TestOddRequests: what is unusual and still right.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("j", 256)
	for _, test := range []struct {
		name, job, request string
		due                []uint64
	}{
		{"since as text", "job", `{"jobId":"job","since":"3"}`, []uint64{4, 5}},
		{"since null", "job", `{"jobId":"job","since":null}`, span(1, 5)},
		{"epoch of another type", "job", `{"jobId":"job","since":4,"epoch":7}`, []uint64{5}},
		{"further fields", "job", `{"since":4,"jobId":"job","priority":{"a":[1]}}`, []uint64{5}},
		{"subject characters", "a.*.>", `{"jobId":"a.*.>"}`, span(1, 5)},
		{"longest", longest, `{"jobId":"` + longest + `"}`, span(1, 5)},
		{"not ASCII", "глава 1", `{"jobId":"глава 1"}`, span(1, 5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{})
			s.log.publish(test.job, 5)
			s.log.publish("a.b.c", 1) // must not reach anybody
			c := s.connect()
			c.emit("subscribe", json.RawMessage(test.request))
			if m := expect(t, c, messaging.EventSubscribed); m.JobID != test.job {
				t.Errorf("subscribed %s", m.Raw)
			}
			expectEvents(t, c, test.due...)
			expect(t, c, messaging.EventCaughtUp)
		})
	}
}

func TestAcknowledgements(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	c := s.connect()
	c.subscribe("first")
	expect(t, c, messaging.EventCaughtUp)
	if got, want := c.ask("subscribe", request{JobID: "job"}), `{"ok":true,"jobId":"job","epoch":"epoch-1"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	expect(t, c, messaging.EventSubscribed)
	expect(t, c, messaging.EventCaughtUp)
	for range 2 { // a job that is not followed is answered alike
		if got, want := c.ask("unsubscribe", request{JobID: "job"}), `{"ok":true,"jobId":"job"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if m := expect(t, c, messaging.EventUnsubscribed); m.JobID != "job" {
			t.Errorf("got %s", m.Raw)
		}
	}
	c.emit("no-such-event", 1)
	c.emit("ping")
	if m := expect(t, c, messaging.EventPong); m.Timestamp == 0 {
		t.Errorf("got %s", m.Raw)
	}
}

func TestSubscriptionCap(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{MaxSubscriptionsPerClient: 3}})
	c := s.connect()
	for _, job := range []string{"a", "b", "c"} {
		c.subscribe(job)
		expect(t, c, messaging.EventCaughtUp)
	}
	for _, job := range []string{"d", "e"} {
		c.emit("subscribe", request{JobID: job})
		m := expect(t, c, messaging.EventError)
		if m.Code != messaging.CodeSubscriptionLimitReached || m.Message != "Subscription limit reached for this connection." ||
			m.JobID != job || m.Limit == nil || *m.Limit != 3 || m.Current == nil || *m.Current != 3 {
			t.Errorf("got %s", m.Raw)
		}
	}
	c.subscribe("b") // followed already: no further one
	expect(t, c, messaging.EventCaughtUp)
	c.emit("unsubscribe", request{JobID: "a"})
	expect(t, c, messaging.EventUnsubscribed)
	c.subscribe("d")
	expect(t, c, messaging.EventCaughtUp)
	for _, job := range []string{"a", "b", "c", "d"} {
		s.log.publish(job, 1)
	}
	for range 3 {
		if m := c.next(); !m.isEvent() || m.JobID == "a" {
			t.Errorf("got %s %s", m.Name, m.Raw)
		}
	}
	c.emit("ping")
	expect(t, c, messaging.EventPong)
}

func TestSubscribingAgain(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 10)
	c := s.connect()
	c.subscribe("job")
	expectEvents(t, c, span(1, 10)...)
	expect(t, c, messaging.EventCaughtUp)

	c.subscribe("job") // replays nothing
	expectCaughtUp(t, c, 10, 10, 0, messaging.SourceNone)

	c.resume("job", 7) // starts over from there
	expectEvents(t, c, 8, 9, 10)
	if m := expect(t, c, messaging.EventCaughtUp); m.From != 7 || m.To != 10 || m.Replayed != 3 {
		t.Errorf("caught up %s", m.Raw)
	}
	s.log.publish("job", 1)
	expectEvents(t, c, 11) // once
	c.emit("ping")
	expect(t, c, messaging.EventPong)
	if got := s.snapshot(); got.TotalSubscriptions != 1 || got.SubscribersPerJob["job"] != 1 {
		t.Errorf("snapshot %+v", got)
	}
}

// TestStartingOverUnderLoad: after the answer to a subscribe with since, the old
// subscription sends nothing any more.
func TestStartingOverUnderLoad(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	c := s.connect()
	c.resume("job", 0)
	for range 100 {
		published := make(chan uint64, 1)
		go func() { published <- s.log.publish("job", 150) }() // ends when all is published
		since := uint64(1)
		for range 10 {
			if m := c.next(); m.isEvent() {
				since = m.Sequence - 1
			}
		}
		c.emit("subscribe", request{JobID: "job", Since: &since})
		for m := c.next(); m.Name != messaging.EventSubscribed; m = c.next() {
		}
		expectEvents(t, c, since+1)
		collect(t, c, <-published, nil)
	}
}

// TestUnsubscribeDuringTheFirstRead: a gap that shows after the unsubscribe was
// answered is no news any more.
func TestUnsubscribeDuringTheFirstRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, withoutDB: true, config: unhurried})
		s.log.publish("job", 200)
		s.log.set(func(l *memoryLog) { l.retain(100) })
		gate := make(chan struct{})
		s.log.set(func(l *memoryLog) { l.gate = gate })
		c := s.connect()
		c.resume("job", 5)
		synctest.Wait() // the page is on its way
		c.emit("unsubscribe", request{JobID: "job"})
		expect(t, c, messaging.EventUnsubscribed)
		close(gate)
		synctest.Wait()
		c.emit("ping")
		expect(t, c, messaging.EventPong)
	})
}

// TestUnsubscribeUnderLoad: nothing of a job follows novel.unsubscribed.
func TestUnsubscribeUnderLoad(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.publishUntilTheEnd("job")
	c := s.connect()
	for range 100 {
		c.subscribe("job")
		c.next()
		c.emit("unsubscribe", request{JobID: "job"})
		for m := c.next(); m.Name != messaging.EventUnsubscribed; m = c.next() {
		}
		c.emit("ping")
		expect(t, c, messaging.EventPong)
	}
}

// publishUntilTheEnd publishes some 3000 events a second while the test runs, and
// some 300 under the race detector, whose clients could not follow.
func (s *stage) publishUntilTheEnd(jobID string) {
	pause := time.Millisecond
	if raceDetector {
		pause = 10 * time.Millisecond
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // stopped by the test's cleanup
		defer close(stopped)
		for {
			s.log.publish(jobID, 3)
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	}()
	s.t.Cleanup(func() { close(stop); <-stopped })
}
