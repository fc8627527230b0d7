package recorder_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/recorder"
)

// TestForget: nothing that names an erased job stays, of clients that are connected and of
// those that have gone; the rest stays.
func TestForget(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 1000})
	live, gone := r.Begin("live"), r.Begin("gone")
	for n := range uint64(600) {
		job := []string{"erased", "other"}[n%2]
		r.Note(recorder.Note{Stage: recorder.StageLogged, JobID: job, ID: fmt.Sprint(n), Sequence: n + 1})
		if n < 100 { // more than a trail keeps
			live.Sent(job, "e", n+1)
			gone.Sent(job, "e", n+1)
		}
	}
	gone.End("left", nil, 0)
	r.Forget("erased", "none")
	if found, _ := r.Find(recorder.Query{JobID: "erased", Limit: recorder.MaxNotes}); len(found) != 0 {
		t.Errorf("%d notes about the erased job", len(found))
	}
	if found, more := r.Find(recorder.Query{Limit: recorder.MaxNotes}); len(found) != 300 || more || found[299].Sequence != 600 {
		t.Errorf("%d other notes", len(found))
	}
	for _, trail := range append(r.Ended("gone"), live) {
		steps, _ := trail.Steps()
		if len(steps) != 16 || steps[0].JobID != "other" || steps[15].Last != 100 {
			t.Errorf("%d steps: %+v", len(steps), steps)
		}
	}
	live.Sent("other", "e", 700) // the trail is used further
	if steps, _ := live.Steps(); len(steps) != 16 || steps[15].Last != 700 {
		t.Errorf("%d steps after another one", len(steps))
	}
}

// TestKeptFor: notes and the trails of clients that have gone are dropped after a time, also
// where nothing is added and nobody asks.
func TestKeptFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, recorder.Config{Bytes: 1 << 20, Events: 10_000})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		defer running.Wait()
		defer stop()
		live, gone := r.Begin("live"), r.Begin("gone")
		live.Sent("a", "e", 1)
		gone.End("left", nil, 0)
		for range 9000 { // more than one piece
			r.Delivered("a", "e", 1, 1, 0)
		}
		time.Sleep(recorder.KeptFor / 2)
		r.Delivered("a", "e", 2, 1, 0)
		synctest.Wait()
		if found, _ := r.Find(recorder.Query{Limit: 500}); len(found) != 500 || len(r.Ended("gone")) != 1 {
			t.Errorf("%d notes, %d trails before the time", len(found), len(r.Ended("gone")))
		}
		time.Sleep(recorder.KeptFor/2 + 2*time.Minute)
		synctest.Wait()
		if found, _ := r.Find(recorder.Query{Limit: 500}); len(found) != 1 || found[0].Sequence != 2 || len(r.Ended("gone")) != 0 {
			t.Errorf("%d notes, %d trails after the time", len(found), len(r.Ended("gone")))
		}
		if steps, _ := live.Steps(); len(steps) != 1 {
			t.Errorf("%d steps of a client that is connected", len(steps))
		}
	})
}

// TestMemory: what clients leave behind without any step, and the slots of notes, count.
func TestMemory(t *testing.T) { // not parallel: it measures the heap
	const bytes = 1 << 20
	before := heap()
	r := open(t, recorder.Config{Bytes: bytes, Events: 10_000_000})
	for n := range 12_000 {
		about := strings.Repeat("s", 512)
		trail := r.Begin(fmt.Sprint(n))
		trail.End("gone", []byte(about), len(about)+24)
	}
	for n := range uint64(100_000) {
		r.Note(recorder.Note{Stage: recorder.StageLogged, JobID: "job", Sequence: n})
	}
	took := heap() - before
	if took > bytes*3/2 {
		t.Errorf("the recorder takes %d bytes, want about %d at most", took, bytes)
	}
	if len(r.Ended("11999")) != 1 || len(r.Ended("0")) != 0 {
		t.Error("the oldest trail is kept, or the newest is not")
	}
	runtime.KeepAlive(r)
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestClientsBeyondTheMemory: a client for which there is no memory has no trail, and
// memory that clients give back is used again.
func TestClientsBeyondTheMemory(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 10})
	var live []*recorder.Trail
	for range 100_000 {
		trail := r.Begin(strings.Repeat("i", 100))
		if trail == nil {
			break
		}
		live = append(live, trail)
	}
	if len(live) < 500 || len(live) > 3000 {
		t.Fatalf("%d trails in half a MiB", len(live))
	}
	for _, trail := range live {
		trail.Sent("a", "e", 1)
		trail.End("gone", nil, 0)
	}
	for range len(live) {
		if r.Begin(strings.Repeat("i", 100)) == nil {
			t.Fatal("trails of clients that have gone make no room")
		}
	}
}
