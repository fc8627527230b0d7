package gateway_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// crowdedLog holds every page until it is let go.
type crowdedLog struct {
	hub.Log
	entered chan string
	let     chan struct{}
}

func (l crowdedLog) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	l.entered <- jobID
	<-l.let
	return l.Log.ReadAfter(ctx, jobID, after, limit)
}

// Of many clients that catch up from a log in this process, as many are read for at a
// time as leave a processor, and live events pass them.
func TestCatchingUpLeavesAProcessor(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	crowded := crowdedLog{log, make(chan string, 100), make(chan struct{})}
	tail := newMemoryTail(log)
	t.Cleanup(tail.stop)
	s := setup(t, options{
		log: log, source: crowded, live: tail, withoutDB: true,
		config: func(cfg *hub.Config) { cfg.LogInProcess = true },
	})
	log.set(func(*memoryLog) { tail.hub = s.hub })
	follower := s.connect()
	follower.subscribe("a/live")
	expect(t, follower, messaging.EventCaughtUp)

	readers, most := 3+runtime.GOMAXPROCS(0), max(1, runtime.GOMAXPROCS(0)-1)
	for i := range readers {
		job := fmt.Sprintf("a/%d", i)
		log.publish(job, 2)
		s.connect().resume(job, 0) // its own client: each has half of the slots
	}
	for range most {
		await(t, "a read", crowded.entered)
	}
	log.publish("a/live", 1)
	expect(t, follower, "novel.domain-event")
	if n := len(crowded.entered); n > 0 {
		t.Errorf("%d reads beside the first %d", n, most)
	}
	close(crowded.let)
	for range readers - most {
		await(t, "a read", crowded.entered)
	}
}
