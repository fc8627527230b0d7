package recorder_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/recorder"
)

func open(t testing.TB, cfg recorder.Config) *recorder.Recorder {
	t.Helper()
	r, err := recorder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNotes(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 1000})
	for n := range uint64(3000) {
		r.Note(recorder.Note{Stage: recorder.StageLogged, JobID: fmt.Sprint("job-", n%2), ID: fmt.Sprint(n), Sequence: n + 1})
	}
	all, more := r.Find(recorder.Query{Limit: recorder.MaxNotes})
	if len(all) != recorder.MaxNotes || !more || all[len(all)-1].Sequence != 3000 || all[0].Sequence != 2501 {
		t.Errorf("%d notes from %+v on", len(all), all[0])
	}
	for n, query := range []recorder.Query{{ID: "2500"}, {Sequence: 2501}, {ID: "2500", Sequence: 2501, JobID: "job-0"}} {
		query.Limit = 10
		if found, more := r.Find(query); len(found) != 1 || more || found[0].Sequence != 2501 {
			t.Errorf("query %d: %+v", n, found)
		}
	}
	for n, query := range []recorder.Query{{ID: "1999"}, {ID: "2500", JobID: "job-1"}} { // no longer kept; of another job
		if found, _ := r.Find(query); len(found) != 0 {
			t.Errorf("query %d without an answer: %+v", n, found)
		}
	}
	if found, _ := r.Find(recorder.Query{ID: "2000", Limit: 1}); len(found) != 1 {
		t.Error("the oldest of 1000 notes is gone")
	}
	// Large notes push out more of the others.
	long := make([]byte, 64<<10)
	for range 100 {
		r.Note(recorder.Note{JobID: string(long)})
	}
	if found, _ := r.Find(recorder.Query{Limit: recorder.MaxNotes}); len(found) > 8 {
		t.Errorf("%d notes of 64 KiB in half a MiB", len(found))
	}
}

func TestTrail(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 10})
	trail := r.Begin("one")
	trail.Note("novel.subscribed", "a", "")
	for n := range uint64(100) {
		trail.Sent("a", "e", n+1)
	}
	trail.Full("a", "e", 101)
	trail.Sent("b", "e", 102)
	trail.Sent("a", "e", 101) // read after the queue had room
	steps, dropped := trail.Steps()
	text := ""
	for _, step := range steps {
		text += fmt.Sprintf("%s %s %d-%d %d; ", step.Kind, step.JobID, step.First, step.Last, step.Count)
	}
	if want := "novel.subscribed a 0-0 1; sent a 1-100 100; full a 101-101 1; sent b 102-102 1; sent a 101-101 1; "; text != want || dropped != 0 {
		t.Errorf("got %q, dropped %d", text, dropped)
	}
	for n := range 100 {
		trail.Note(fmt.Sprint(n), "", "")
	}
	steps, dropped = trail.Steps()
	if len(steps) != 32 || dropped != 73 || steps[0].Kind != "68" || steps[31].Kind != "99" {
		t.Errorf("%d steps from %s to %s, dropped %d", len(steps), steps[0].Kind, steps[len(steps)-1].Kind, dropped)
	}
	trail.End("gone", "about", 5)
	trail.End("again", nil, 0)
	trail.Note("late", "", "")
	ended := r.Ended("one")
	if len(ended) != 1 {
		t.Fatalf("%d ended trails", len(ended))
	}
	if at, reason, about := ended[0].Ended(); at.IsZero() || reason != "gone" || about != "about" {
		t.Errorf("ended %s, %s, %v", at, reason, about)
	}
	if steps, _ := ended[0].Steps(); steps[31].Kind != "99" {
		t.Errorf("a step after the end: %+v", steps[31])
	}
}

// The trails of clients that have gone make room for those of others, and together they
// stay within the bound.
func TestTrailsAreBounded(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 10})
	var clients sync.WaitGroup
	for n := range 4 {
		clients.Go(func() {
			for m := range 500 {
				trail := r.Begin(fmt.Sprint(n, "/", m))
				for s := range 40 {
					trail.Note(fmt.Sprint(s), fmt.Sprint("job-", s), "")
				}
				trail.End("gone", nil, 0)
			}
		})
	}
	clients.Wait()
	kept := 0
	for n := range 4 {
		for m := range 500 {
			for _, trail := range r.Ended(fmt.Sprint(n, "/", m)) {
				steps, _ := trail.Steps()
				kept += len(steps)
			}
		}
	}
	if kept < 3000 || kept > 512<<10/88 {
		t.Errorf("%d steps are kept in half a MiB", kept)
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Events: 1})
	trail := r.Begin("one")
	trail.Sent("a", "e", 1)
	trail.Full("a", "e", 1)
	trail.Note("a", "", "")
	trail.Range("a", "", "", "", 1, 2)
	trail.End("gone", nil, 0)
	r.Note(recorder.Note{})
	if found, more := r.Find(recorder.Query{Limit: 1}); r != nil || trail != nil || len(found) != 0 || more || r.Ended("one") != nil {
		t.Error("a recorder that is off records")
	}
	for _, cfg := range []recorder.Config{{Bytes: 1, Events: 1}, {Bytes: -1, Events: 1}, {Bytes: 1 << 20}} {
		if _, err := recorder.New(cfg); err == nil {
			t.Errorf("%+v is valid", cfg)
		}
	}
}

func BenchmarkSent(b *testing.B) {
	trail := open(b, recorder.Config{Bytes: 1 << 20, Events: 10}).Begin("one")
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		trail.Sent("job", "e", n)
	}
}

func BenchmarkDelivered(b *testing.B) {
	r := open(b, recorder.Config{Bytes: 32 << 20, Events: 50_000})
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		r.Delivered("job", "e", n, 200, 0)
	}
}

// TestEndedBetween: the clients that have gone are found by the time at which they did, and
// the answer says whether it has all of them.
func TestEndedBetween(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 32 << 20, Events: 10})
	var ended []time.Time
	for n := range 3 {
		trail := r.Begin(fmt.Sprint(n))
		trail.End("gone", nil, 0)
		at, _, _ := trail.Ended()
		ended = append(ended, at)
		for !time.Now().After(at) { // the next one ends later, also by a coarse clock
			runtime.Gosched()
		}
	}
	if found, incomplete := r.EndedBetween(ended[0], ended[2]); len(found) != 2 || incomplete {
		t.Errorf("%d trails, incomplete %v", len(found), incomplete)
	}
	if found, _ := r.EndedBetween(ended[2].Add(1), ended[2].Add(time.Hour)); len(found) != 0 {
		t.Errorf("%d trails after the last one", len(found))
	}
	const most = 10_000
	for n := range most - 1 {
		r.Begin(fmt.Sprint("more-", n)).End("gone", nil, 0)
	}
	if found, incomplete := r.EndedBetween(ended[0], time.Now().Add(time.Hour)); len(found) != most || !incomplete {
		t.Errorf("%d trails, incomplete %v", len(found), incomplete)
	}
	if found, incomplete := r.EndedBetween(ended[2], time.Now().Add(time.Hour)); len(found) != most || incomplete {
		t.Errorf("%d trails since the third one, incomplete %v", len(found), incomplete)
	}
}

// TestEpochs: notes and steps have the epoch of their sequences. A query for one leaves out
// those of another, and equal steps of two epochs are two.
func TestEpochs(t *testing.T) {
	t.Parallel()
	r := open(t, recorder.Config{Bytes: 1 << 20, Events: 100})
	r.Note(recorder.Note{Stage: recorder.StageReceived, JobID: "a", ID: "1", Detail: "redis"})
	r.Delivered("a", "first", 1, 1, 0)
	r.Delivered("a", "second", 1, 1, 0)
	r.Repaired("a", "second", 2)
	r.Note(recorder.Note{Stage: recorder.StageProjected, JobID: "a", Sequence: 2, Epoch: strings.Repeat("x", 1000), Detail: "history", TookSeconds: 1.5})
	for epoch, want := range map[string]int{"": 5, "first": 3, "second": 4, "third": 2} {
		if found, _ := r.Find(recorder.Query{Epoch: epoch, Limit: 10}); len(found) != want {
			t.Errorf("%d notes of the epoch %q, want %d: %+v", len(found), epoch, want, found)
		}
	}
	all, _ := r.Find(recorder.Query{Limit: 10})
	if last := all[4]; last.Epoch != "" || last.Detail != "history" || last.TookSeconds != 1.5 {
		t.Errorf("the last note is %+v", last)
	}
	trail := r.Begin("one")
	trail.Sent("a", "first", 1)
	trail.Sent("a", "first", 2)
	trail.Sent("a", "second", 3)
	if steps, _ := trail.Steps(); len(steps) != 2 || steps[0].Epoch != "first" || steps[0].Count != 2 || steps[1].Epoch != "second" {
		t.Errorf("steps %+v", steps)
	}
}
