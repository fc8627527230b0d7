package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// heldLog holds the reads of some jobs, and counts those that it holds.
type heldLog struct {
	hub.Log
	prefix string // of the jobs
	let    chan struct{}

	mu      sync.Mutex // guards the fields below
	holds   bool
	reading int
}

func (l *heldLog) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	if l.enter(jobID) {
		<-l.let
		defer l.leave()
	}
	return l.Log.ReadAfter(ctx, jobID, after, limit)
}

func (l *heldLog) enter(jobID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holds || !strings.HasPrefix(jobID, l.prefix) {
		return false
	}
	l.reading++
	return true
}

func (l *heldLog) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading--
}

// hold says whether reads are held from now on, and returns how many are.
func (l *heldLog) hold(holds bool) (reading int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = holds
	return l.reading
}

// TestRepairsAreBounded: after an outage in which every room has missed records, eight of
// them are repaired at a time, a new client's first page does not wait for them, and every
// client gets what it missed.
func TestRepairsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rooms, missed, bound = 30, 260, 8 // two pages each
		log := newMemoryLog()
		held := &heldLog{Log: log, prefix: "a/", let: make(chan struct{})}
		tail := newMemoryTail(log)
		t.Cleanup(tail.stop)
		s := setup(t, options{pipe: true, config: rarelyChecked, log: log, source: held, live: tail, withoutDB: true})
		log.set(func(*memoryLog) { tail.hub = s.hub })
		follower := s.connect()
		for i := range rooms {
			follower.subscribe(fmt.Sprint("a/", i))
			expect(t, follower, messaging.EventCaughtUp)
		}
		last := log.publish("b/job", 3)

		tail.lose(func(messaging.Live) bool { return true })
		for i := range rooms {
			log.publish(fmt.Sprint("a/", i), missed)
		}
		held.hold(true)
		s.hub.Disrupted(messaging.DisruptionReconnect)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if reading := held.hold(true); reading != bound {
			t.Errorf("%d pages are read for repairs at one time, want %d", reading, bound)
		}
		visitor := s.connect()
		visitor.subscribe("b/job")
		sameSequences(t, collect(t, visitor, last, nil), span(1, last))

		held.hold(false)
		close(held.let)
		got := make(map[string]int)
		for left := rooms * missed; left > 0; left-- {
			got[expect(t, follower, "novel.domain-event").JobID]++
		}
		for i := range rooms {
			if job := fmt.Sprint("a/", i); got[job] != missed {
				t.Errorf("%d events of %s, want %d", got[job], job, missed)
			}
		}
	})
}
