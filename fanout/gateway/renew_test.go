package gateway_test

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// A session that nobody else has saved is kept by one write, and never read. One that is
// not in the store any more is looked for and saved.
func TestSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	sessions.renews = true
	loads := make(chan struct{}, 1)
	sessions.entered = func(method string) {
		if method == "Sessions.Load" {
			select {
			case loads <- struct{}{}:
			default:
			}
		}
	}
	s := setup(t, options{sessions: sessions, refresh: 160 * time.Millisecond})
	s.log.publish("a", 1)
	c := newRecoverer(t)
	c.connect(s)
	c.subscribe("a")
	c.until(s.log, messaging.EventCaughtUp, "a")
	renewed := func() (count int) { sessions.set(func() { count = sessions.renewed }); return count }
	wait(t, "three renewals", func() bool { return renewed() >= 3 })
	if len(loads) > 0 {
		t.Error("the session was read")
	}
	sessions.set(func() { delete(sessions.states, c.pid) })
	await(t, "the session to be read", loads)
	wait(t, "the session to be saved", func() bool { return sessions.has(c.pid) })
	before := renewed()
	wait(t, "one more renewal", func() bool { return renewed() > before })
	c.socket.Kill()
	if !c.connect(s) {
		t.Error("not recovered")
	}
}
