package engineio_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func TestHandshakeOverPolling(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	status, body := s.request(http.MethodGet, "EIO=4&transport=polling", "", "")
	want(t, "status", status, http.StatusOK)
	var open map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	want(t, "keys", len(open), 5)
	want(t, "upgrades", fmt.Sprint(open["upgrades"]), "[websocket]")
	want(t, "pingInterval", open["pingInterval"], any(25000.0))
	want(t, "pingTimeout", open["pingTimeout"], any(20000.0))
	want(t, "maxPayload", open["maxPayload"], any(1e6))
	want(t, "id", s.next().session.ID(), open["sid"].(string))
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) {
		cfg.AllowRequest = func(r *http.Request) bool { return r.URL.Query().Get("forbid") == "" }
	}})
	id, _ := s.openPolling()
	for _, test := range []struct {
		name, method, query string
		status, code        int
	}{
		{"no transport", "GET", "EIO=4", 400, 0},
		{"unknown transport", "GET", "EIO=4&transport=flash", 400, 0},
		{"webtransport", "GET", "EIO=4&transport=webtransport", 400, 0},
		{"unknown session", "GET", "EIO=4&transport=polling&sid=abc", 400, 1},
		{"unknown session, POST", "POST", "EIO=4&transport=polling&sid=abc", 400, 1},
		{"handshake by POST", "POST", "EIO=4&transport=polling", 400, 2},
		{"handshake by PUT", "PUT", "EIO=4&transport=polling", 400, 2},
		{"websocket without upgrade", "GET", "EIO=4&transport=websocket", 400, 3},
		{"another transport than the session's", "GET", "EIO=4&transport=websocket&sid=" + id, 400, 3},
		{"unknown method", "DELETE", "EIO=4&transport=polling&sid=" + id, 400, 3},
		{"forbidden", "GET", "EIO=4&transport=polling&forbid=1", 403, 4},
		{"no protocol version", "GET", "transport=polling", 400, 5},
		{"protocol version 3", "GET", "EIO=3&transport=polling", 400, 5},
		{"no number for a version", "GET", "EIO=abc&transport=polling", 400, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := s.request(test.method, test.query, "", "")
			want(t, "status", status, test.status)
			var refusal struct {
				Code    *int
				Message string
			}
			if err := json.Unmarshal([]byte(body), &refusal); err != nil || refusal.Code == nil || refusal.Message == "" {
				t.Fatalf("body %q: %v", body, err)
			}
			want(t, "code", *refusal.Code, test.code)
		})
	}
}

func TestPathIsExact(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for path, status := range map[string]int{
		"/engine.io": 200, "/engine.io/": 200, "/engine.io/deeper": 404, "/engine.io//": 404, "/engine.iox": 404, "/": 404,
	} {
		response, err := s.client.Get("http://" + s.address + path + "?EIO=4&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		want(t, path, response.StatusCode, status)
	}
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	s := setup(t, options{react: echo})
	for _, test := range []struct{ name, payload string }{
		{"one text", "4hello"},
		{"several texts", "4test1\x1e4test2\x1e4test3"},
		{"text and binary", "4hello\x1ebAQIDBA=="},
		{"empty messages", "4\x1e4"},
		{"more than a response's buffer", "4" + strings.Repeat("long ", 50_000)},
		{"not ASCII", "4€ é 日本"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, _ := s.openPolling()
			status, body := s.post(id, test.payload)
			want(t, "POST", fmt.Sprint(status, body), "200ok")
			status, body = s.poll(id)
			want(t, "GET", fmt.Sprint(status, body), "200"+test.payload)
		})
	}
}

func TestPollWaits(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		start := time.Now()
		time.AfterFunc(10*time.Second, func() { _ = o.session.Send(engineio.TextMessage([]byte("late"))) })
		_, body := s.poll(id)
		want(t, "body", body, "4late")
		want(t, "waited", time.Since(start), 10*time.Second)
	})
}

func TestMalformedPayloadClosesTheSession(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, payload := range []string{"", "abc", "4fine\x1e", "4fine\x1e9", "b***", "4\xff\xfe"} {
		id, o := s.openPolling()
		status, _ := s.post(id, payload)
		want(t, fmt.Sprintf("POST %q", payload), status, 400)
		want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonParseError)
		want(t, "messages", len(o.messages), 0)
		status, _ = s.poll(id)
		want(t, "poll after it", status, 400)
	}
}

func TestSecondPollClosesTheSession(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	first, second := make(chan string, 1), make(chan string, 1)
	for _, answers := range []chan string{first, second} {
		go func() { // ends with the session
			status, body := s.poll(id)
			if status != 200 {
				body = "refused"
			}
			answers <- fmt.Sprint(status, " ", body)
		}()
	}
	got := map[string]bool{receive(t, first, "answer"): true, receive(t, second, "answer"): true}
	if !got["200 1"] || !got["400 refused"] {
		t.Errorf("answers %v, want a close packet and a refusal", got)
	}
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportError)
}

func TestClientClosesPolling(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		posted := make(chan int)
		time.AfterFunc(time.Second, func() {
			status, _ := s.post(id, "1")
			posted <- status
		})
		status, body := s.poll(id)
		want(t, "waiting poll", fmt.Sprint(status, body), "2006")
		want(t, "POST", <-posted, 200)
		want(t, "reason", <-o.closed, engineio.ReasonTransportClose)
		status, _ = s.poll(id)
		want(t, "poll after it", status, 400)
	})
}

// The POST that closes may overtake the poll before it.
func TestClientClosesPollingBeforeItsPollArrives(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		id, o := s.openPolling()
		s.post(id, "1")
		status, body := s.poll(id)
		want(t, "late poll", fmt.Sprint(status, body), "2006")
		want(t, "reason", <-o.closed, engineio.ReasonTransportClose)
		status, _ = s.poll(id)
		want(t, "poll after it", status, 400)

		id, o = s.openPolling()
		_ = o.session.Send(engineio.TextMessage([]byte("too late")))
		start := time.Now()
		s.post(id, "1\x1e4ignored")
		want(t, "reason", <-o.closed, engineio.ReasonTransportClose)
		want(t, "after", time.Since(start), 250*time.Millisecond)
		want(t, "messages", len(o.messages), 0)
		status, _ = s.poll(id)
		want(t, "poll after it", status, 400)
	})
}

func TestServerClosesPollingAfterTheRest(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	for _, text := range []string{"a", "b"} {
		if err := o.session.Send(engineio.TextMessage([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	o.session.Close("enough")
	want(t, "send after close", o.session.Send(engineio.TextMessage(nil)), engineio.ErrClosed)
	_, body := s.poll(id)
	want(t, "the rest", body, "4a\x1e4b")
	_, body = s.poll(id)
	want(t, "the goodbye, never with messages", body, "1")
	want(t, "reason", receive(t, o.closed, "close"), "enough")
}

func TestServerClosesPollingThatNeverPolls(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		_, o := s.openPolling()
		_ = o.session.Send(engineio.TextMessage([]byte("unread")))
		start := time.Now()
		o.session.Close("enough")
		want(t, "reason", <-o.closed, "enough")
		want(t, "after", time.Since(start), 10*time.Second)

		id, o := s.openPolling()
		_ = o.session.Send(engineio.TextMessage([]byte("read")))
		o.session.Close("enough")
		start = time.Now()
		_, body := s.poll(id)
		want(t, "the rest", body, "4read")
		want(t, "reason", <-o.closed, "enough")
		want(t, "after the rest", time.Since(start), 250*time.Millisecond)
	})
}

func TestPollMakesRoom(t *testing.T) {
	t.Parallel()
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.QueueBytes = 4 << 10 }})
	id, o := s.openPolling()
	text := strings.Repeat("x", 1000)
	offered := 0
	for o.session.Offer(engineio.TextMessage([]byte(text))) {
		offered++
	}
	_, body := s.poll(id)
	want(t, "payload", strings.Count(body, "4"+text), offered)
	receive(t, o.room, "room")
	eventually(t, "empty queue", func() bool { return o.session.QueuedBytes() == 0 })
}

func TestAbandonedPollClosesTheSession(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	id, o := s.openPolling()
	conn := rawConn(t, s)
	fmt.Fprintf(conn, "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n\r\n", id)
	// Nothing is visible from outside when the poll has arrived.
	eventually(t, "poll to wait", func() bool { return o.session.Waiting() })
	_ = conn.Close()
	want(t, "reason", receive(t, o.closed, "close"), engineio.ReasonTransportClose)
}

// TestAtMost16PacketsInAPayload: python-engineio disconnects on more. What does not
// fit follows in order.
func TestAtMost16PacketsInAPayload(t *testing.T) {
	t.Parallel()
	const total = 100
	s := setup(t, options{})
	id, o := s.openPolling()
	for i := range total {
		if err := o.session.Send(engineio.Frame{Data: fmt.Appendf(nil, "4%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for next := 0; next < total; {
		status, body := s.poll(id)
		want(t, "status", status, http.StatusOK)
		packets := strings.Split(body, "\x1e")
		if len(packets) > 16 {
			t.Fatalf("a payload of %d packets", len(packets))
		}
		for _, packet := range packets {
			want(t, "packet", packet, fmt.Sprintf("4%d", next))
			next++
		}
	}
}
