package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// book is a set of tokens and what they grant.
type book map[string]guardrails.Grant

func (b book) FromRequest(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (b book) Grant(token string, _ time.Time) (guardrails.Grant, guardrails.Decision) {
	grant, found := b[token]
	switch {
	case found:
		return grant, guardrails.Decision{}
	case token == "":
		return grant, guardrails.Decision{Code: messaging.CodeTokenRequired}
	}
	return grant, guardrails.Decision{Code: messaging.CodeTokenInvalid}
}

// bookOf grants ann the jobs of team a, until a time.
func bookOf(t *testing.T, until time.Time) book {
	t.Helper()
	grant := func(subject string, until time.Time, jobs ...string) guardrails.Grant {
		granted, err := guardrails.NewGrant(subject, jobs, nil, until)
		if err != nil {
			t.Fatal(err)
		}
		return granted
	}
	return book{
		"ann":      grant("ann", until, "a/*"),
		"ann, new": grant("ann", until.Add(time.Hour), "a/1"),
		"bob":      grant("bob", until, "*"),
	}
}

// connectWith connects with auth, and returns the refusal if there is one.
func (s *stage) connectWith(auth any, header http.Header) (*socketClient, *socket.Refused) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	transport, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Header: header, NetDial: s.dial, Queue: 1024})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(transport.Kill)
	_, err = transport.Connect(ctx, auth)
	var refusal *socket.Refused
	if err != nil && !errors.As(err, &refusal) {
		s.t.Fatal(err)
	}
	return &socketClient{t: s.t, Socket: transport}, refusal
}

func TestTokenIsRequired(t *testing.T) {
	t.Parallel()
	s := setup(t, options{tokens: bookOf(t, time.Now().Add(time.Hour))})
	bearer := http.Header{"Authorization": {"Bearer ann"}}
	tests := []struct {
		name   string
		auth   any
		header http.Header
		want   messaging.Code
	}{
		{name: "none", want: messaging.CodeTokenRequired},
		{name: "in auth", auth: map[string]string{"token": "ann"}},
		{name: "in the header", header: bearer},
		{name: "unknown", auth: map[string]string{"token": "eve"}, want: messaging.CodeTokenInvalid},
		{name: "auth counts first", auth: map[string]string{"token": "eve"}, header: bearer, want: messaging.CodeTokenInvalid},
		{name: "not a string", auth: map[string]int{"token": 7}, want: messaging.CodeTokenRequired},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, refusal := s.in(t).connectWith(test.auth, test.header)
			switch {
			case test.want == "" && refusal != nil:
				t.Errorf("refused: %s %+v", refusal.Message, refusal.Data)
			case test.want != "" && (refusal == nil || refusal.Data.Code != test.want):
				t.Errorf("refusal %+v, want %s", refusal, test.want)
			}
		})
	}
}

func TestTokenBoundsTheJobs(t *testing.T) {
	t.Parallel()
	s := setup(t, options{tokens: bookOf(t, time.Now().Add(time.Hour))})
	s.log.publish("a/1", 1)
	s.log.publish("b/1", 1)
	c, _ := s.connectWith(map[string]string{"token": "ann"}, nil)
	c.subscribe("a/1")
	expectEvents(t, c, s.log.newest("a/1"))
	expect(t, c, messaging.EventCaughtUp)
	c.emit("subscribe", request{JobID: "b/1"})
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeJobForbidden || m.JobID != "b/1" {
		t.Errorf("error %s", m.Raw)
	}
	for path, want := range map[string]int{
		"/api/novel/a%2F1/events": http.StatusOK, "/api/novel/b%2F1/events": http.StatusForbidden,
		"/api/realtime/jobs/b%2F1/stream": http.StatusForbidden,
	} {
		for header, want := range map[string]int{"Bearer ann": want, "": http.StatusUnauthorized} {
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
			request.Header.Set("Authorization", header)
			answer, err := s.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s with %q: %s, want %d", path, header, answer.Status, want)
			}
		}
	}
}

func TestTokenExpiresOnALiveSocket(t *testing.T) {
	t.Parallel()
	s := setup(t, options{tokens: bookOf(t, time.Now().Add(time.Second))})
	c, _ := s.connectWith(map[string]string{"token": "ann"}, nil)
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeTokenExpiring {
		t.Errorf("error %s", m.Raw)
	}
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeTokenExpired {
		t.Errorf("error %s", m.Raw)
	}
	<-c.Ended()
}

// A timer that fires while it is set again for a new token adds none: the client is warned
// once, and closed once.
func TestTokenHasOneTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, tokens: bookOf(t, time.Now().Add(10*time.Minute))})
		c, _ := s.connectWith(map[string]string{"token": "ann"}, nil)
		for range 3 {
			gateway.FireTimers(s.gateway)
		}
		var got []messaging.Code
		for {
			event, err := c.Next(context.Background())
			if err != nil {
				break
			}
			got = append(got, decode(t, event).Code)
		}
		synctest.Wait()
		if want := []messaging.Code{messaging.CodeTokenExpiring, messaging.CodeTokenExpired}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestTokenIsRefreshed(t *testing.T) {
	t.Parallel()
	s := setup(t, options{tokens: bookOf(t, time.Now().Add(29*time.Second))})
	c, _ := s.connectWith(map[string]string{"token": "ann"}, nil)
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeTokenExpiring {
		t.Fatalf("error %s", m.Raw)
	}
	for _, jobID := range []string{"a/1", "a/2"} {
		c.subscribe(jobID)
		expect(t, c, messaging.EventCaughtUp)
	}
	c.emit("refresh", map[string]string{"token": "bob"})
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeTokenInvalid {
		t.Errorf("another subject's token: %s", m.Raw)
	}
	c.emit("refresh", map[string]string{"token": "ann, new"})
	if m := expect(t, c, messaging.EventError); m.Code != messaging.CodeJobForbidden || m.JobID != "a/2" {
		t.Errorf("the job that is no longer granted: %s", m.Raw)
	}
	if answer := c.ask("refresh", map[string]string{"token": "ann, new"}); answer != `{"ok":true}` {
		t.Errorf("acknowledgement %s", answer)
	}
	if followed := s.snapshot().SubscribersPerJob; followed["a/1"] != 1 || followed["a/2"] != 0 {
		t.Errorf("followed: %v", followed)
	}
}

// TestRecoveryAsksForAuthorityAgain: a session comes back to its own subject
// only, and with the jobs that the token of now allows.
func TestRecoveryAsksForAuthorityAgain(t *testing.T) {
	t.Parallel()
	tokens := bookOf(t, time.Now().Add(time.Hour))
	s := setup(t, options{tokens: tokens, sessions: newMemorySessions()})
	s.log.publish("a/2", 1)
	c := newRecoverer(t)
	c.token = "ann"
	c.connect(s)
	c.subscribe("a/2")
	c.until(s.log, messaging.EventCaughtUp, "a/2")
	c.socket.Kill()
	pid, sid := c.pid, c.sid
	c.token = "bob"
	if c.connect(s) {
		t.Error("another subject got the session")
	}
	c.socket.Kill()
	c.pid, c.sid, c.token = pid, sid, "ann, new"
	if !c.connect(s) {
		t.Fatal("not recovered")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	event, err := c.socket.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if m := decode(t, event); m.Code != messaging.CodeJobForbidden || m.JobID != "a/2" {
		t.Errorf("got %s %s", m.Name, m.Raw)
	}
}
