package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestStreamIDs(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 3)
	s.log.set(func(l *memoryLog) {
		l.legacy["job"] = []messaging.Record{legacyStatus("job", "2020-01-01T00:00:01.000Z")}
	})
	c := s.stream("job", "")
	if m := expect(t, c, messaging.EventJobStatus); m.SSE != "" {
		t.Errorf("an old document has the id %q", m.SSE)
	}
	for sequence := range uint64(3) {
		if m := c.next(); m.SSE != fmt.Sprintf("epoch-1:%d", sequence+1) || m.Sequence != sequence+1 {
			t.Errorf("id %q of %s", m.SSE, m.Raw)
		}
	}
	if m := expect(t, c, messaging.EventCaughtUp); m.SSE != "" {
		t.Errorf("the end of the catch-up has the id %q", m.SSE)
	}
}

// TestStreamPositions: Last-Event-ID comes before the query, which a browser
// repeats when it reconnects.
func TestStreamPositions(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 9)
	for _, test := range []struct {
		header, query string
		due           []uint64
	}{
		{"", "", span(1, 9)},
		{"7", "", span(8, 9)},
		{"", "?since=7", span(8, 9)},
		{"7", "?since=2", span(8, 9)},
		{"epoch-1:7", "", span(8, 9)},
		{"", "?since=0", span(1, 9)},
	} {
		inner := s.in(t)
		inner.client = &http.Client{Transport: addQuery{test.query, s.client.Transport}}
		c := inner.stream("job", test.header)
		expectEvents(t, c, test.due...)
		expect(t, c, messaging.EventCaughtUp)
		c.close()
	}
}

// addQuery adds a query to every request.
type addQuery struct {
	query string
	http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (a addQuery) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.query != "" {
		r.URL.RawQuery = a.query[1:]
	}
	return a.RoundTripper.RoundTrip(r)
}

// rewrite sends every request to one path and query.
type rewrite struct {
	path, query string
	http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w rewrite) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = w.path, "", w.query[1:]
	return w.RoundTripper.RoundTrip(r)
}

func TestStreamHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		c := s.stream("job", "")
		expect(t, c, messaging.EventCaughtUp)
		synctest.Wait()
		for len(c.comments) > 0 {
			<-c.comments
		}
		started := time.Now()
		for range 4 {
			<-c.comments
		}
		if took := time.Since(started); took < 30*time.Second || took > time.Minute {
			t.Errorf("four lines of heartbeat in %s, two of which are empty", took)
		}
		time.Sleep(time.Hour)
		last := s.log.publish("job", 1)
		expectEvents(t, c, last)
	})
}

// TestDisconnectedStreamFreesEverything: closed, cut or stuck, a client that goes leaves
// nothing behind.
func TestDisconnectedStreamFreesEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 500)
		var clients []*streamClient
		for range 10 {
			clients = append(clients, s.stream("job", "0"))
		}
		clients[0].next() // the others leave while they are being served
		if got := s.snapshot(); got.TotalConnections != 10 || got.SubscribersPerJob["job"] != 10 {
			t.Errorf("snapshot %+v", got)
		}
		for _, c := range clients[:9] {
			c.close()
		}
		synctest.Wait()
		if got := s.snapshot(); got.TotalConnections != 1 || got.TotalSubscriptions != 1 {
			t.Errorf("snapshot %+v", got)
		}
		// The last one takes nothing any more: 64 messages wait, and it is not read.
		for range 4000 {
			s.log.append(record("job", 1000))
		}
		time.Sleep(time.Minute)
		if got := s.snapshot(); got.TotalConnections != 0 || got.TotalSubscriptions != 0 {
			t.Errorf("a stuck client is still there: %+v", got)
		}
	})
}

// TestStreamsEndWithTheServer: no stream outlives the requests' context, and no
// subscription the stream.
func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	c := s.stream("job", "")
	socket := s.connect()
	socket.subscribe("job")
	s.stop()
	<-c.ended
	<-socket.Ended()
	wait(t, "everything to be free", func() bool { // clients may see their end first
		got := s.snapshot()
		return got.TotalConnections == 0 && got.TotalSubscriptions == 0
	})
}

// A stream on which nothing is sent ends after the idle timeout; its client comes
// back.
func TestIdleStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Minute
		s := setup(t, options{pipe: true, config: unhurried, limits: guardrails.Limits{IdleTimeout: timeout}})
		started := time.Now()
		c := s.stream("job", "")
		time.Sleep(4 * time.Minute)
		s.log.publish("job", 1)
		<-c.ended
		if lived := time.Since(started); lived < 9*time.Minute || lived > 10*time.Minute {
			t.Errorf("ended after %s", lived)
		}
		synctest.Wait()
		if now := s.snapshot(); now.TotalConnections != 0 || now.TotalSubscriptions != 0 {
			t.Errorf("%d connections, %d subscriptions", now.TotalConnections, now.TotalSubscriptions)
		}
	})
}
