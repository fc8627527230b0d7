package gateway_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// oneToken is the token of every client.
type oneToken guardrails.Grant

func (oneToken) FromRequest(*http.Request) string { return "token" }

func (o oneToken) Grant(string, time.Time) (guardrails.Grant, guardrails.Decision) {
	return guardrails.Grant(o), guardrails.Decision{}
}

func tokenUntil(t *testing.T, until time.Time) oneToken {
	t.Helper()
	grant, err := guardrails.NewGrant("ann", []string{"*"}, nil, until)
	if err != nil {
		t.Fatal(err)
	}
	return oneToken(grant)
}

// A socket and an event stream whose token expires are counted, once each.
func TestExpiredTokensAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried, tokens: tokenUntil(t, time.Now().Add(time.Minute))})
		stream, socket := s.stream("job", ""), s.connect()
		<-stream.ended
		<-socket.Ended()
		synctest.Wait()
		for _, name := range []string{"realtime_fanout_closed_total", "realtime_fanout_refused_total"} {
			if got := s.metric(name); got != 2 {
				t.Errorf("%s is %v, want 2", name, got)
			}
		}
	})
}

// A client is closed once, and counted once, however many reasons there are for it at the
// moment.
func TestClientsAreClosedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		limits := guardrails.Limits{IdleTimeout: time.Hour}
		s := setup(t, options{
			pipe: true, config: unhurried, limits: limits, tokens: tokenUntil(t, time.Now().Add(time.Hour)),
			revoked: func(guardrails.Grant) bool { return revoked.Load() },
		})
		const clients = 20
		for range clients {
			s.connect()
			expect(t, s.stream("job", ""), messaging.EventCaughtUp)
		}
		revoked.Store(true)
		first, second := s.gateway.CloseRevoked(), s.gateway.CloseRevoked()
		gateway.FireTimers(s.gateway)
		synctest.Wait()
		if first != 2*clients || second != 0 {
			t.Errorf("%d closed, and then %d, want %d and 0", first, second, 2*clients)
		}
		if got := s.metric("realtime_fanout_closed_total"); got != 2*clients {
			t.Errorf("%v are counted, want %d", got, 2*clients)
		}
	})
}

// An event stream whose token is revoked while its request is on its way is refused, and
// counted as that.
func TestStreamOfARevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t, options{tokens: tokenUntil(t, time.Now().Add(time.Hour)), revoked: func(guardrails.Grant) bool { return true }})
	if answer := s.get("/api/realtime/jobs/job/stream", ""); answer.status != http.StatusUnauthorized {
		t.Errorf("status %d", answer.status)
	}
	if closed, refused := s.metric("realtime_fanout_closed_total"), s.metric("realtime_fanout_refused_total"); closed != 0 || refused != 1 {
		t.Errorf("%v closed, %v refused, want 0 and 1", closed, refused)
	}
}
