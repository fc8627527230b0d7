package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// slowTail does not follow the jobs of one owner until their callers give up.
type slowTail struct {
	hub.Tail
	prefix      string
	asked, most atomic.Int64
}

func (t *slowTail) Follow(ctx context.Context, jobID string) error {
	if !strings.HasPrefix(jobID, t.prefix) {
		return t.Tail.Follow(ctx, jobID)
	}
	t.most.Store(max(t.most.Load(), t.asked.Add(1)))
	defer t.asked.Add(-1)
	<-ctx.Done()
	return ctx.Err()
}

// TestRoomsOpenInTurn: a client that subscribes to many jobs at once holds a part of the
// slots for opening rooms, and a room that another client waits for opens beside them.
func TestRoomsOpenInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newMemoryLog()
		live := newMemoryTail(log)
		t.Cleanup(live.stop)
		tail := &slowTail{Tail: live, prefix: "a/slow"}
		s := setup(t, options{
			pipe: true, config: unhurried, log: log, source: log, live: tail, withoutDB: true, tokens: bookOf(t, time.Now().Add(time.Hour)),
		})
		log.set(func(*memoryLog) { live.hub = s.hub })
		hostile, _ := s.connectWith(map[string]string{"token": "ann"}, nil)
		for i := range 100 {
			hostile.subscribe(fmt.Sprint("a/slow", i))
		}
		synctest.Wait()
		if most := tail.most.Load(); most == 0 || most > 4 {
			t.Errorf("%d rooms of one client asked at a time, want 1 to 4", most)
		}
		honest, _ := s.connectWith(map[string]string{"token": "bob"}, nil)
		honest.subscribe("b/job")
		expect(t, honest, messaging.EventCaughtUp)
		// A room that the hostile client asked for first opens in the honest one's turn.
		hostile.subscribe("a/shared")
		synctest.Wait()
		if live.isFollowing("a/shared") {
			t.Error("the hostile client has more than its part of the slots")
		}
		honest.subscribe("a/shared")
		expect(t, honest, messaging.EventCaughtUp)
		hostile.close()
		synctest.Wait()
	})
}
