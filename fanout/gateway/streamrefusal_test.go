package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// ask sends a request with an Accept header and returns the whole answer.
func (s *stage) ask(path, accept string) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

var refusedStream = regexp.MustCompile(`\Aretry: (\d+)\n\n(?:event: novel\.error\ndata: (.*)\n\n)?\z`)

// checkRefusedStream checks that an answer makes an EventSource come back.
func checkRefusedStream(t *testing.T, got answer, code messaging.Code) {
	t.Helper()
	header, parts := got.header, refusedStream.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || header.Get("Content-Type") != "text/event-stream" ||
		header.Get("Cache-Control") != "no-cache, no-transform" || header.Get("X-Accel-Buffering") != "no" || parts == nil {
		t.Fatalf("answer %d %v:\n%s", got.status, header, got.body)
	}
	retry, err := strconv.Atoi(parts[1])
	if err != nil || retry < 1000 {
		t.Errorf("retry %q", parts[1])
	}
	if code == "" {
		if parts[2] != "" {
			t.Errorf("an error %s", parts[2])
		}
		return
	}
	var problem messaging.Problem
	if err := json.Unmarshal([]byte(parts[2]), &problem); err != nil || problem.Code != code || problem.RetryAfterMs == nil || *problem.RetryAfterMs != retry {
		t.Errorf("error %s, retry %d, %v", parts[2], retry, err)
	}
}

// TestRefusedStreamsComeBack: a stream that is refused for a moment is answered in a
// way that an EventSource comes back from; a client of JSON reads a status.
func TestRefusedStreamsComeBack(t *testing.T) {
	t.Parallel()
	const path = "/api/realtime/jobs/job/stream"
	for _, test := range []struct {
		limits guardrails.Limits
		code   messaging.Code
		status int
	}{
		{guardrails.Limits{MaxConnections: 1}, messaging.CodeMaxConnectionsExceeded, http.StatusServiceUnavailable},
		{guardrails.Limits{MaxConnectionsPerOrigin: 1}, messaging.CodeOriginConnectionsExceeded, http.StatusServiceUnavailable},
		{guardrails.Limits{MaxConnectionsPerAddress: 1}, messaging.CodeAddressConnectionsExceeded, http.StatusTooManyRequests},
		{guardrails.Limits{ConnectionsPerSecond: 1}, messaging.CodeConnectionRateExceeded, http.StatusTooManyRequests},
	} {
		s := setup(t, options{limits: test.limits})
		held := s.stream("job", "")
		for _, accept := range []string{"text/event-stream", "*/*", "", "text/event-stream, application/json"} {
			checkRefusedStream(t, s.ask(path, accept), test.code)
		}
		got := s.ask(path, "application/json")
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		if got.status != test.status || got.problem(t).Code != test.code || err != nil || seconds < 1 || seconds > 2 {
			t.Errorf("JSON: %d, Retry-After %q: %s", got.status, got.header.Get("Retry-After"), got.body)
		}
		held.close()
	}
	// What no retry mends keeps its status.
	s := setup(t, options{limits: guardrails.Limits{}})
	if got := s.ask(path+"?since=x", "text/event-stream"); got.status != http.StatusBadRequest {
		t.Errorf("a malformed since: %d", got.status)
	}
}

// keysAway is what grants nothing because the keys of the issuer cannot be read.
type keysAway struct{ book }

func (keysAway) Grant(string, time.Time) (guardrails.Grant, guardrails.Decision) {
	return guardrails.Grant{}, guardrails.Decision{Code: messaging.CodeInternal}
}

// TestStreamsComeBackWhenTheKeysDo: a token that cannot be checked at the moment ends
// no EventSource, and one that is refused for good keeps its status.
func TestStreamsComeBackWhenTheKeysDo(t *testing.T) {
	t.Parallel()
	const path = "/api/realtime/jobs/job/stream"
	s := setup(t, options{tokens: keysAway{}})
	got := s.ask(path, "text/event-stream")
	parts := refusedStream.FindStringSubmatch(got.body)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/event-stream" || parts == nil {
		t.Fatalf("answer %d %v:\n%s", got.status, got.header, got.body)
	}
	var problem messaging.Problem
	if err := json.Unmarshal([]byte(parts[2]), &problem); err != nil || problem.Code != messaging.CodeInternal {
		t.Errorf("error %s, %v", parts[2], err)
	}
	for _, path := range []string{path, "/api/novel/job/events"} {
		if got := s.ask(path, "application/json"); got.status != http.StatusServiceUnavailable || got.problem(t).Code != messaging.CodeInternal {
			t.Errorf("JSON of %s: %d %s", path, got.status, got.body)
		}
	}
	s = setup(t, options{tokens: book{}})
	if got := s.ask(path, "text/event-stream"); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %d %s", got.status, got.body)
	}
}

// TestStreamsOfADrainComeBack: a gateway on its way out sends streams elsewhere.
func TestStreamsOfADrainComeBack(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	handler := s.gateway.StreamsUntil(func() bool { return true })
	serve := func(accept string) answer {
		request := httptest.NewRequest(http.MethodGet, "/api/realtime/stream?jobId=job", nil)
		request.Header.Set("Accept", accept)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	}
	checkRefusedStream(t, serve("text/event-stream"), "")
	if got := serve("application/json"); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("JSON: %d %v", got.status, got.header)
	} else if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") || got.problem(t).Code != messaging.CodeInternal {
		t.Errorf("JSON: %s %s", kind, got.body)
	}
}

// TestLineSeparators: no line over HTTP holds a character that some parsers take for
// its end, and the text is the same.
func TestLineSeparators(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	odd := record("job", 0)
	const text = "one\u2028two\u2029three"
	odd.Body = []byte(`{"event":{"type":"` + text + `","occurredAt":"2026-01-02T03:04:05Z"}}`)
	s.log.append(odd)
	stream := s.stream("job", "")
	m := expect(t, stream, "novel.domain-event")
	page := s.get("/api/novel/job/events", "").body
	for where, raw := range map[string]string{"stream": string(m.Event), "page": page} {
		if strings.ContainsAny(raw, "\u2028\u2029") || !strings.Contains(raw, `one\u2028two\u2029three`) {
			t.Errorf("%s: %q", where, raw)
		}
	}
	var event struct{ Type string }
	if err := json.Unmarshal(m.Event, &event); err != nil || event.Type != text {
		t.Errorf("the stream has %q, %v", event.Type, err)
	}
}

// TestAnyJobOverHTTP reads jobs whose names do not survive a path: browsers take "."
// and ".." out of it, proxies decode "%2F", and blanks around a name are trimmed there.
func TestAnyJobOverHTTP(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, job := range []string{".", "..", "team-1/x", "%2e%2e", "a?b#c&d", " lead", "trail ", "\u200b", "a.b.>", "é"} {
		s.log.publish(job, 1)
		query := "?jobId=" + url.QueryEscape(job)
		if got := s.get("/api/novel/events"+query, ""); got.status != http.StatusOK || !strings.Contains(got.body, `"count":1`) {
			t.Errorf("page of %q: %d %s", job, got.status, got.body)
		}
		inner := s.in(t)
		inner.client = &http.Client{Transport: rewrite{"/api/realtime/stream", query, s.client.Transport}}
		stream := inner.stream("x", "")
		if m := expect(t, stream, "novel.domain-event"); m.JobID != job {
			t.Errorf("stream of %q: %s", job, m.Raw)
		}
		stream.close()
	}
	s.log.publish("job", 1)
	if got := s.get("/api/novel/%20job%09/events", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"count":1`) {
		t.Errorf("blanks in a path: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/api/novel/events", "/api/novel/events?jobId=%20", "/api/novel/%20/events", "/api/realtime/stream"} {
		if got := s.get(path, ""); got.status != http.StatusBadRequest || got.problem(t).Code != messaging.CodeJobIDRequired {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
