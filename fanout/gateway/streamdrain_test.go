package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// TestStreamsAreDrainedOneByOne: at an even pace over the period, and each can go
// on elsewhere from where it was.
func TestStreamsAreDrainedOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const count, period = 20, 10 * time.Second
		s := setup(t, options{pipe: true, config: unhurried})
		s.log.publish("job", 3)
		ended := make(chan time.Time, count)
		for range count {
			c := s.stream("job", "")
			expectEvents(t, c, 1, 2, 3)
			expect(t, c, messaging.EventCaughtUp)
			go func() { // ends with the stream
				<-c.ended
				ended <- time.Now()
			}()
		}
		gone := s.stream("job", "")
		expectEvents(t, gone, 1, 2, 3)
		gone.close() // takes no part any more
		synctest.Wait()
		began := time.Now()
		s.gateway.DrainStreams(t.Context(), period)
		for n := range count {
			due := time.Duration(n) * period / count
			if after := (<-ended).Sub(began); after != due {
				t.Errorf("stream %d ended after %s, want %s", n, after, due)
			}
		}
		synctest.Wait()
		if got := s.snapshot(); got.TotalConnections != 0 || got.TotalSubscriptions != 0 {
			t.Errorf("snapshot %+v", got)
		}
		s.gateway.DrainStreams(t.Context(), period) // of none
		if took := time.Since(began); took >= period {
			t.Errorf("took %s", took)
		}
	})
}

// TestDrainOfStreamsEndsWithItsContext: those that are left end with the server.
func TestDrainOfStreamsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		for range 2 {
			expect(t, s.stream("job", ""), messaging.EventCaughtUp)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.gateway.DrainStreams(ctx, time.Hour)
		synctest.Wait()
		if got := s.snapshot(); got.TotalConnections != 1 {
			t.Errorf("%d streams are left", got.TotalConnections)
		}
	})
}
