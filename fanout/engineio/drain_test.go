package engineio_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// TestShutdownIsSpread: over the drain period, sessions are closed one by one at
// an even pace, so that their clients come back to other servers likewise.
func TestShutdownIsSpread(t *testing.T) {
	t.Parallel()
	const sessions, period = 20, 10 * time.Second
	configure := func(cfg *engineio.Config) { cfg.DrainPeriod = period }
	onFakeClock(t, options{configure: configure}, func(t *testing.T, s *stage) {
		var waiting sync.WaitGroup
		closed := make(chan time.Time, sessions)
		for range sessions {
			p, o := s.openWebSocket()
			waiting.Go(func() { // a client answers the close frame
				for {
					if _, _, err := p.NextReader(); err != nil {
						return
					}
				}
			})
			waiting.Go(func() {
				<-o.closed
				closed <- time.Now()
			})
		}
		began := time.Now()
		if err := s.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		for n := range sessions {
			due := time.Duration(n) * period / sessions
			if after := (<-closed).Sub(began); after < due || after > due+time.Second/10 {
				t.Errorf("session %d closed after %s, want %s", n, after, due)
			}
		}
	})
}

// TestShutdownDoesNotWaitPastItsContext: at its end, those left are cut.
func TestShutdownDoesNotWaitPastItsContext(t *testing.T) {
	t.Parallel()
	configure := func(cfg *engineio.Config) { cfg.DrainPeriod = time.Hour }
	onFakeClock(t, options{configure: configure}, func(t *testing.T, s *stage) {
		_, first := s.openWebSocket()
		_, second := s.openWebSocket()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err == nil {
			t.Error("no error for a drain that was cut short")
		}
		for _, o := range []*owner{first, second} {
			want(t, "reason", <-o.closed, engineio.ReasonShutdown)
		}
	})
}
