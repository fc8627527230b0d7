package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// askUnread sends a request and reads nothing.
func (s *stage) askUnread(path string) net.Conn {
	s.t.Helper()
	conn, err := s.dial(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answersCut returns how many answers were not taken.
func (s *stage) answersCut() float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "realtime_fanout_answers_cut_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

// TestUnreadAnswerIsCutOff: it holds a page and not what was asked for, gives its place
// back in time, and does not keep others from being answered.
func TestUnreadAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, limits: guardrails.Limits{MaxRequests: 3, MaxRequestsPerClient: 3}})
		for range 300 {
			s.log.append(record("job", 100_000))
		}
		s.log.publish("other", 1)
		for _, query := range []string{"limit=300", "limit=300&since=0", "limit=300&before=301"} {
			s.log.set(func(l *memoryLog) { l.asked, l.reads = 0, 0 })
			s.askUnread("/api/novel/job/events?" + query)
			synctest.Wait()
			s.log.set(func(l *memoryLog) {
				if l.asked+l.reads > 2 {
					t.Errorf("%s: %d pages were read for a client that reads nothing", query, l.asked+l.reads)
				}
			})
		}
		// Three hold all places. They are not held for long.
		refused := s.get("/api/novel/other/events", "")
		if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") == "" || refused.problem(t).Code != messaging.CodeMaxRequestsExceeded {
			t.Errorf("a request too many: %d %v %s", refused.status, refused.header, refused.body)
		}
		time.Sleep(11 * time.Second)
		if got := s.events("other", ""); got.Count != 1 {
			t.Errorf("afterwards: %+v", got)
		}
		if cut := s.answersCut(); cut != 3 {
			t.Errorf("%v answers were cut off, want 3", cut)
		}
	})
}

// TestSlowAnswerIsWhole: slow progress is progress.
func TestSlowAnswerIsWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		for range 20 {
			s.log.append(record("job", 50_000))
		}
		conn := s.askUnread("/api/novel/job/events?limit=20")
		began := time.Now()
		var text strings.Builder
		buffer := make([]byte, 16<<10)
		for !strings.Contains(text.String(), `"count":20,`) {
			time.Sleep(time.Second)
			n, err := conn.Read(buffer)
			if err != nil {
				t.Fatalf("after %s and %d bytes: %v", time.Since(began), text.Len(), err)
			}
			text.Write(buffer[:n])
		}
		if took := time.Since(began); took < 30*time.Second {
			t.Errorf("took %s, which is not slow", took)
		}
	})
}

// TestAnswersShareMemory: what answers in flight hold together is bounded; who finds no
// room waits, and is refused before anything was sent.
func TestAnswersShareMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, answerBytes: 3 << 20})
		for range 40 {
			s.log.append(record("job", 100_000))
		}
		for range 2 {
			s.askUnread("/api/novel/job/events?limit=40") // each holds a page of 1 MiB
			synctest.Wait()
		}
		began := time.Now()
		refused := s.get("/api/novel/job/events", "")
		if refused.status != http.StatusServiceUnavailable || refused.problem(t).Code != messaging.CodeMaxRequestsExceeded || refused.header.Get("Retry-After") != "5" {
			t.Errorf("%d %v %s", refused.status, refused.header, refused.body)
		}
		if waited := time.Since(began); waited > 6*time.Second {
			t.Errorf("waited %s", waited)
		}
		time.Sleep(10 * time.Second) // the others are cut off
		if got := s.events("job", "limit=2"); got.Count != 2 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// TestRequestsPerClient: how many requests and how often, each client for itself.
func TestRequestsPerClient(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{RequestsPerMinute: 6}})
	s.log.publish("job", 1)
	if first := s.get("/api/novel/job/events", ""); first.status != http.StatusOK {
		t.Errorf("the first: %d %s", first.status, first.body)
	}
	second := s.get("/api/novel/job/events", "")
	if second.status != http.StatusTooManyRequests || second.header.Get("Retry-After") == "" || second.problem(t).Code != messaging.CodeRequestRateExceeded {
		t.Errorf("the second: %d %v %s", second.status, second.header, second.body)
	}
}

// TestAnswerThatFailsHalfWay: a client cannot take half a page for a whole one.
func TestAnswerThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true})
	for range 40 {
		s.log.append(record("job", 100_000))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/novel/job/events?limit=40&since=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.log.set(func(l *memoryLog) { l.failAfter = 1 })
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("status %d and %d bytes without an error", response.StatusCode, len(body))
	}
}
