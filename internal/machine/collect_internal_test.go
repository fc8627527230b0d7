package machine

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// TestIdle has cases of heaps that are collected and of heaps that are not.
func TestIdle(t *testing.T) {
	const mib = 1 << 20
	after := heap{objects: 250 * mib, free: 60 * mib, goal: 300 * mib}
	for _, test := range []struct {
		name      string
		heap      heap
		allocated uint64 // in 5 s
		want      bool
	}{
		{"a load that has ended", after, 10 * mib, true},
		{"a load that goes on", after, 500 * mib, false},
		{"a load that the runtime collects for soon", after, 26 * mib, false},
		{"a small heap", heap{objects: 20 * mib, free: 10 * mib, goal: 40 * mib}, 0, false},
		{"pages that are free", heap{objects: 20 * mib, free: 40 * mib, goal: 40 * mib}, 0, true},
		{"a collection that is due", heap{objects: 60 * mib, goal: 60 * mib}, 0, false},
	} {
		if got := test.heap.idle(test.allocated, 5*time.Second); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// sink and cache keep the compiler from allocating on the stack.
var sink, cache [][]byte

// TestCollectIdle: what the last collection of a load found in use, and is not any more, is
// collected soon after the load, and a short time later also what caches kept.
func TestCollectIdle(t *testing.T) {
	const load, kept = 128 << 20, 64 << 20
	for from := readHeap().cycles; readHeap().cycles < from+collectCycles || len(sink) < load>>20; {
		sink = append(sink, make([]byte, 1<<20))
	}
	for range kept >> 20 {
		cache = append(cache, make([]byte, 1<<20))
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // the runtime's own next collection is far away
	sink = nil
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { collectIdle(ctx, 10*time.Millisecond, 100*time.Millisecond) }) // ends with ctx
	collected := func(most uint64) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			heap := readHeap()
			if heap.objects < most {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not collected: %+v", heap)
			}
		}
	}
	collected(kept + load/2)
	cache = nil
	collected(kept / 2)
	cancel()
	running.Wait()
}

// TestCollectsAgain: a load is followed by two collections, and so is one that begins before
// the second collection of the load before it.
func TestCollectsAgain(t *testing.T) {
	const mib = 1 << 20
	now := heap{objects: 100 * mib, free: 100 * mib, goal: 400 * mib}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := start
	c := collector{pace: collectPace, again: collectAgain, before: now}
	var collected []time.Duration
	look := func(looks int, loaded bool) {
		for range looks {
			at = at.Add(collectPace)
			if loaded {
				now.cycles++
				now.allocated += 1000 * mib
			}
			if c.due(now, at) {
				now.cycles += 2
				c.collected(now, at)
				collected = append(collected, at.Sub(start))
			}
		}
	}
	look(4, true)
	look(2, false) // collected once: 25 s
	look(12, true)
	look(20, false) // twice: 95 s and 110 s
	look(4, true)
	look(20, false) // twice: 215 s and 230 s
	if got, want := fmt.Sprint(collected), "[25s 1m35s 1m50s 3m35s 3m50s]"; got != want {
		t.Errorf("collected after %s, want %s", got, want)
	}
}
