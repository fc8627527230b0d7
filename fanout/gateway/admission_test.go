package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// refused connects from an origin and returns why that was refused.
func (s *stage) refused(origin string) (string, messaging.Problem) {
	s.t.Helper()
	transport := s.dialSocket(origin, 0)
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, err := transport.Connect(ctx, nil)
	var refusal *socket.Refused
	if !errors.As(err, &refusal) {
		s.t.Fatalf("connected, error %v", err)
	}
	return refusal.Message, refusal.Data
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	s := setup(t, options{origins: "http://book.example, https://other.example"})
	s.connectFrom("http://book.example", 0)
	s.connectFrom("https://other.example", 0)
	s.connectFrom("", 0)
	for _, origin := range []string{"http://evil.example", "https://book.example", "http://book.example.evil.example", "null"} {
		message, data := s.refused(origin)
		if message != "Origin not allowed" || data.Code != messaging.CodeOriginNotAllowed || data.Limit != nil || data.RetryAfterMs != nil {
			t.Errorf("%s: %q, %+v", origin, message, data)
		}
	}
	got := s.snapshot()
	if got.TotalConnections != 3 || got.ConnectionsPerOrigin[guardrails.UnknownOrigin] != 1 || got.ConnectionsPerOrigin["http://book.example"] != 1 {
		t.Errorf("snapshot %+v", got)
	}
}

func TestConnectionQuotas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		limits  guardrails.Limits
		origins []string // admitted
		origin  string   // refused
		free    string   // admitted all the same; "" for none
		code    messaging.Code
		message string
		limit   int
	}{
		{
			name: "total", limits: guardrails.Limits{MaxConnections: 3},
			origins: []string{"http://a.example", "http://b.example", ""}, origin: "http://c.example",
			code: messaging.CodeMaxConnectionsExceeded, message: "Too many realtime connections. Please retry shortly.", limit: 3,
		},
		{
			name: "per origin", limits: guardrails.Limits{MaxConnectionsPerOrigin: 2},
			origins: []string{"http://a.example", "http://a.example"}, origin: "http://a.example", free: "http://b.example",
			code: messaging.CodeOriginConnectionsExceeded, message: "Too many connections from this origin. Please retry later.", limit: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{limits: test.limits})
			var admitted []*socketClient
			for _, origin := range test.origins {
				admitted = append(admitted, s.connectFrom(origin, 0))
			}
			for range 3 {
				message, data := s.refused(test.origin)
				if message != test.message || data.Code != test.code || data.Limit == nil || *data.Limit != test.limit ||
					data.Current == nil || *data.Current != test.limit || data.RetryAfterMs == nil || *data.RetryAfterMs <= 0 {
					t.Errorf("refused with %q, %+v", message, data)
				}
			}
			response := s.get("/api/realtime/jobs/job/stream", test.origin)
			if response.status != http.StatusServiceUnavailable || response.problem(t).Code != test.code {
				t.Errorf("stream: %d %s", response.status, response.body)
			}
			if test.free != "" {
				s.connectFrom(test.free, 0).close()
			}
			// Closed or killed, a client that goes makes room.
			for i, c := range admitted {
				if i%2 == 0 {
					c.close()
				} else {
					c.Kill()
				}
			}
			wait(t, "the slots to be free", func() bool { return s.snapshot().TotalConnections == 0 })
			for _, origin := range test.origins {
				s.connectFrom(origin, 0)
			}
			if got := s.snapshot(); got.TotalConnections != len(test.origins) {
				t.Errorf("snapshot %+v", got)
			}
		})
	}
}

// answer is one HTTP answer, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t testing.TB) messaging.Problem {
	t.Helper()
	var problem messaging.Problem
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return problem
}

func (s *stage) get(path, origin string) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	if origin != "" {
		request.Header.Set("Origin", origin)
	}
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

// TestPanicInConnectFreesTheSlot: whatever panics while a socket is being connected,
// it takes no place from the next.
func TestPanicInConnectFreesTheSlot(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	s := setup(t, options{sessions: sessions, limits: guardrails.Limits{MaxConnections: 1, IdleTimeout: time.Hour}})
	sessions.set(func() { sessions.panics = true })
	for range 3 {
		socket := s.dialSocket("", 0)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := socket.Connect(ctx, nil); err == nil {
			t.Error("connected in spite of a panic")
		}
		cancel()
		wait(t, "the slot to be free", func() bool {
			got := s.snapshot()
			return got.TotalConnections == 0 && got.IdleClients == 0
		})
	}
	sessions.set(func() { sessions.panics = false })
	c := s.connect()
	c.emit("ping")
	for m := c.next(); m.Name != messaging.EventPong; m = c.next() {
	}
}
