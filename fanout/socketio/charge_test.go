package socketio_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// counter is an intake that counts, and bounds nothing.
type counter struct{ bytes atomic.Int64 }

func (c *counter) Spend(bytes int) time.Duration {
	c.bytes.Add(int64(bytes))
	return 0
}

func (c *counter) End() {}

// Joining a namespace costs far more than the few bytes that ask for it.
func TestJoiningIsCharged(t *testing.T) {
	t.Parallel()
	var spent counter
	s := setup(t, options{configure: func(cfg *socketio.Config) {
		cfg.NewIntake = func(*http.Request) socketio.Intake { return &spent }
	}})
	p := s.dial()
	for range 3 {
		p.send("40")
		s.expect("connect", "")
		p.send("41")
		s.next()
	}
	if got := spent.bytes.Load(); got < 3*4096 {
		t.Errorf("three joins cost %d bytes", got)
	}
}
