package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
)

func TestPublishIsAnswered(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	plain, other := event("job", "", 1), event("job", "", 2)
	conflict := `{"code":"id-conflict","message":"the log has this id with another body"}`
	key := func(text string) []string { return []string{"Idempotency-Key", text} }
	longest := strings.Repeat("k", messaging.MaxIDBytes)
	records := 0
	for _, test := range []struct {
		name   string
		media  string // application/json if empty
		header []string
		body   string
		status int
		want   string // the body, or a part of it
	}{
		{name: "an id", body: event("job", "id-1", 1), status: 201, want: `{"id":"id-1","jobId":"job","sequence":1,"duplicate":false}`},
		{name: "the id again", body: event("job", "id-1", 1), status: 200, want: `{"id":"id-1","jobId":"job","sequence":1,"duplicate":true}`},
		{name: "white space around", body: "\r\n\t " + event("job", "id-1", 1) + "\n", status: 200, want: `{"id":"id-1","jobId":"job","sequence":1,"duplicate":true}`},
		{name: "the id with another body", body: event("job", "id-1", 2), status: 409, want: conflict},
		{name: "no id", body: plain, status: 201, want: `{"jobId":"job","sequence":2,"duplicate":false}`},
		{name: "no id, the same", body: plain, status: 201, want: `{"jobId":"job","sequence":3,"duplicate":false}`},
		{name: "parameters of the type", media: "Application/JSON; charset=utf-8", body: other, status: 201, want: `{"jobId":"job","sequence":4,"duplicate":false}`},

		{name: "a key", header: key("key-1"), body: plain, status: 201, want: `{"id":"key-1","jobId":"job","sequence":5,"duplicate":false}`},
		{name: "the key again, in quotes", header: key(`"key-1"`), body: plain, status: 200, want: `{"id":"key-1","jobId":"job","sequence":5,"duplicate":true}`},
		{name: "the key with another body", header: key("key-1"), body: other, status: 409, want: conflict},
		{name: "a key that is the id", header: key("id-1"), body: event("job", "id-1", 1), status: 200, want: `"sequence":1,"duplicate":true`},
		{name: "a key that is not the id", header: key("id-2"), body: event("job", "id-1", 1), status: 400, want: `{"code":"invalid-idempotency-key","message":"Idempotency-Key and the id of the envelope differ"}`},
		{name: "the longest key", header: key(longest), body: plain, status: 201, want: `"sequence":6`},
		{name: "the longest key in quotes", header: key(`"` + longest + `"`), body: plain, status: 200, want: `"sequence":6`},
		{name: "a longer key", header: key(longest + "k"), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "an empty key", header: key(""), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "an empty key in quotes", header: key(`""`), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "a quote in a key", header: key(`a"b`), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "a key beyond ASCII", header: key("é"), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "two keys", header: append(key("a"), key("b")...), body: plain, status: 400, want: `"invalid-idempotency-key"`},
		{name: "a key for lines", media: ndjsonType, header: key("a"), body: plain, status: 400, want: `"invalid-idempotency-key"`},

		{name: "nothing", body: "", status: 400, want: `"invalid-json"`},
		{name: "two envelopes", body: plain + "\n" + other, status: 400, want: `"invalid-json"`},
		{name: "a schema violation", body: `{"kind":"domain","jobId":"job","event":{"type":"t"}}`, status: 400, want: `{"code":"schema-violation","message":"event.occurredAt: is required"}`},
		{name: "a jobId that is none", body: event("a\nb", "", 1), status: 400, want: `"schema-violation"`},
		{name: "a newer version", body: `{"version":2}`, status: 400, want: `"unsupported-version"`},
		{name: "an unknown kind", body: `{"kind":"other"}`, status: 400, want: `"unknown-kind"`},
		{name: "no lines", media: ndjsonType, body: " \r\n\n", status: 400, want: `{"code":"invalid-json","message":"the body has no envelope"}`},

		{name: "no type", media: "none", body: plain, status: 415, want: `{"code":"unsupported-media-type","message":"Content-Type must be application/json or application/x-ndjson"}`},
		{name: "a form", media: "application/x-www-form-urlencoded", body: plain, status: 415, want: `"unsupported-media-type"`},
		{name: "a broken type", media: "application/json; =", body: plain, status: 415, want: `"unsupported-media-type"`},
		{name: "compressed", header: []string{"Content-Encoding", "gzip"}, body: plain, status: 415, want: `"unsupported-media-type"`},
	} {
		media := test.media
		switch media {
		case "":
			media = jsonType
		case "none":
			media = ""
		}
		answer := d.post(t, media, test.body, test.header...)
		if answer.status != test.status || !strings.Contains(answer.text, test.want) {
			t.Errorf("%s: answered %d with %s, want %d with %s", test.name, answer.status, answer.text, test.status, test.want)
		}
		if answer.status == http.StatusCreated {
			records++
		}
		if accept := answer.header.Get("Accept"); (accept != "") != (test.status == 415) {
			t.Errorf("%s: Accept is %q", test.name, accept)
		}
		if answer.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the answer may be cached", test.name)
		}
	}
	stored := d.log.stored()
	if len(stored) != records {
		t.Fatalf("%d records, want the %d that were answered", len(stored), records)
	}
	if r := stored[4]; r.ID != "key-1" || r.MessageID != "key-1" || string(r.Body) != plain {
		t.Errorf("the event with a key is stored as %+v with %s", r, r.Body)
	}
	if a, b := stored[1], stored[2]; a.ID != "" || a.MessageID == "" || a.MessageID == b.MessageID {
		t.Errorf("events without an id are stored as %q and %q", a.MessageID, b.MessageID)
	}
	d.expectEmpty(t)
	for name, want := range map[string]float64{
		"appended_events_total": float64(records), "duplicate_events_total": 5, "rejected_events_total{id-conflict}": 0, "received_events_total": 0,
		"http_requests_total{201}": float64(records), "http_requests_total{200}": 5, "http_requests_total{409}": 2, "http_requests_total{415}": 4,
		"http_refused_events_total{id-conflict}": 2, "http_refused_events_total{schema-violation}": 2, "http_refused_events_total{invalid-idempotency-key}": 1,
	} {
		if got := d.metric(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestPublishLimitsAreExact(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxEventBytes, cfg.MaxBodyBytes, cfg.MaxLines = 50_000, 120_000, 10
	cfg.MaxPublishBytes = cfg.MaxBodyBytes // one body of the largest size at a time
	d := openDoor(t, cfg)
	lines := func(count int) string {
		var body strings.Builder
		for n := range count {
			body.WriteString("\n\n" + event("lines", "", n))
		}
		return body.String()
	}
	// padded has a line of each of the largest events, and white space around.
	padded := func(sizeBytes int) string {
		line := sized(t, "body", 50_000) + "\n"
		return line + line + strings.Repeat(" ", sizeBytes-2*len(line))
	}
	stored := 0
	for _, test := range []struct {
		name, media, body string
		status, stored    int
		code              string
	}{
		{"an event below", jsonType, sized(t, "job", 49_999), 201, 1, ""},
		{"an event at the limit", jsonType, "  " + sized(t, "job", 50_000) + "\n", 201, 1, ""},
		{"an event above", jsonType, sized(t, "job", 50_001), 413, 0, "too-large"},
		{"lines below", ndjsonType, lines(9), 200, 9, ""},
		{"lines at the limit", ndjsonType, lines(10) + "\r\n\r\n", 200, 10, ""},
		{"lines above", ndjsonType, lines(11), 413, 0, "too-many-lines"},
		{"a body below", ndjsonType, padded(119_999), 200, 2, ""},
		{"a body at the limit", ndjsonType, padded(120_000), 200, 2, ""},
		{"a body above", ndjsonType, padded(120_001), 413, 0, "too-large"},
		{"an endless body", ndjsonType, padded(20_000_000), 413, 0, "too-large"},
	} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(test.body)
			if chunked {
				body = io.MultiReader(body) // of a length that is not known
			}
			answer, err := d.do(d.request(t.Context(), test.media, body))
			if err != nil {
				t.Fatalf("%s, chunked %t: %v", test.name, chunked, err)
			}
			stored += test.stored
			if answer.status != test.status || answer.Code != test.code || answer.Failed != 0 {
				t.Errorf("%s, chunked %t: answered %d with %.200s, want %d %s", test.name, chunked, answer.status, answer.text, test.status, test.code)
			}
			if got := len(d.log.stored()); got != stored {
				t.Fatalf("%s, chunked %t: %d records, want %d", test.name, chunked, got, stored)
			}
			// The next body needs all of the memory.
			d.expectEmpty(t)
		}
	}
}

func TestLogThatRejectsAnEventTellsItsPublisher(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	for reason, status := range map[messaging.Reason]int{
		messaging.ReasonTooLarge: 413, messaging.ReasonSchemaViolation: 400,
	} {
		d.log.failWith(fmt.Errorf("append to subject: %w", &messaging.Rejection{Reason: reason, Detail: "at node-1"}))
		answer := d.post(t, jsonType, event("job", "", 1))
		if answer.status != status || answer.Code != string(reason) || answer.Message == "" || strings.Contains(answer.text, "node-1") {
			t.Errorf("%s: answered %d with %s", reason, answer.status, answer.text)
		}
	}
	d.log.failWith(nil)
	if answer := d.post(t, jsonType, event("job", "", 1)); answer.status != http.StatusCreated {
		t.Errorf("afterwards: answered %d with %s", answer.status, answer.text)
	}
	d.expectEmpty(t)
}

func TestRetryUnderANewIDIsNotADuplicate(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	d.log.loseAnswers(1) // the log has stored it, and the gateway does not know
	if answer := d.post(t, jsonType, event("job", "", 1)); answer.status != http.StatusCreated || answer.Duplicate || answer.Sequence != 1 {
		t.Errorf("answered %d with %s, want 201", answer.status, answer.text)
	}
	if stored := len(d.log.stored()); stored != 1 {
		t.Errorf("%d records, want 1", stored)
	}
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	if err := d.Connected(); err != nil {
		t.Errorf("connected: %v", err)
	}
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	for _, family := range families {
		switch family.GetName() {
		case "realtime_ingest_subscribed", "realtime_ingest_gaps_total", "realtime_ingest_outage_seconds_total":
			t.Errorf("%s exists without a subscription", family.GetName())
		}
	}
	if err := d.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// A request that arrives before Run has begun waits for Run, as it does for a slow log.
func TestRequestsBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := quick()
		i, err := ingest.New(nil, newMemoryLog(), messaging.DefaultCatalogue(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatalf("new: %v", err)
		}
		post := func() int {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(event("job", "", 1)))
			r.Header.Set("Content-Type", jsonType)
			w := httptest.NewRecorder()
			i.ServePublish(w, r)
			return w.Code
		}
		if code := post(); code != http.StatusServiceUnavailable {
			t.Errorf("before Run: answered %d", code)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		time.AfterFunc(cfg.PublishTimeout/2, func() { ended <- i.Run(ctx) }) // stopped by cancel
		if code := post(); code != http.StatusCreated {
			t.Errorf("Run began meanwhile: answered %d", code)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestRequestsAfterRunAreRefused(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	if err := d.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	d.post(t, jsonType, event("job", "", 1)).expectUnavailable(t)
	d.post(t, ndjsonType, event("job", "", 1)).expectUnavailable(t)
	d.expectEmpty(t)
}
