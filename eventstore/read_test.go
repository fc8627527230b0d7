package eventstore_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

func TestReadAfterPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []uint64
	for i := range 40 {
		want = append(want, b.add(t, record("job", fmt.Sprint(i)))...)
		b.add(t, record("other", "x"))
	}
	var got []uint64
	for after := uint64(0); ; {
		records, err := b.log.ReadAfter(t.Context(), "job", after, 7)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, sequencesOf(records)...)
		if len(records) < 7 {
			break
		}
		after = records[len(records)-1].Sequence
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for name, c := range map[string]struct {
		job   string
		after uint64
		limit int
	}{
		"unknown job": {"none", 0, 10},
		"at the end":  {"job", want[39], 10},
		"far beyond":  {"job", math.MaxInt64, 10},
		"no limit":    {"job", 0, 0},
		"negative":    {"job", 0, -1},
	} {
		if records, err := b.log.ReadAfter(t.Context(), c.job, c.after, c.limit); err != nil || len(records) != 0 {
			t.Errorf("%s: %d records, %v", name, len(records), err)
		}
	}
}

// A page of large events read forwards is bounded in bytes, and they are all
// there page by page; one read back is complete.
func TestReadLargeEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const count = 12
	var want []uint64
	for range count {
		r := record("job", "")
		r.Body = make([]byte, 1_000_000)
		want = append(want, b.add(t, r)...)
	}
	var got []uint64
	for len(got) < count {
		page, err := b.log.ReadAfter(t.Context(), "job", uint64(len(got)), 100)
		if err != nil || len(page) < 1 || len(page) > 2 {
			t.Fatalf("a page of %d records, %v", len(page), err)
		}
		got = append(got, sequencesOf(page)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("after: %v", got)
	}
	records, err := readBack(t.Context(), b.log, "job", math.MaxUint64, count-1)
	if got := sequencesOf(records); err != nil || !slices.Equal(got, want[1:]) {
		t.Errorf("newest: %v, %v", got, err)
	}
}

// The last sequence is found from any record of the job.
func TestLastSequenceFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := b.add(t, record("job", "1"), record("job", "2"), record("job", "3"))
	b.add(t, record("other", "x"))
	for _, known := range want {
		if last, err := b.log.LastSequenceFrom(t.Context(), "job", known); err != nil || last != want[2] {
			t.Errorf("from %d: %d, %v, want %d", known, last, err, want[2])
		}
	}
	if last, err := b.log.LastSequenceFrom(t.Context(), "job", math.MaxUint64); err != nil || last != math.MaxUint64 {
		t.Errorf("from the largest sequence: %d, %v", last, err)
	}
}

func TestLastSequences(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const count = 600
	jobs := make([]string, count)
	want := map[string]uint64{}
	for i := range jobs {
		jobs[i] = fmt.Sprint("job-", i)
		if i%3 == 0 {
			continue // Has no record.
		}
		want[jobs[i]] = b.add(t, record(jobs[i], "x"))[0]
	}
	for i := 1; i < 20; i += 3 {
		r := record(jobs[i], "")
		r.Body = make([]byte, 900_000) // More than one answer holds.
		want[jobs[i]] = b.add(t, r)[0]
	}
	got, err := b.log.LastSequences(t.Context(), append(jobs, jobs[1], jobs[2]))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d jobs, want %d", len(got), len(want))
	}
	for _, job := range jobs {
		if got[job] != want[job] {
			t.Errorf("%s: %d, want %d", job, got[job], want[job])
		}
	}
	for _, job := range jobs[:20] {
		if last, err := b.log.LastSequence(t.Context(), job); err != nil || last != want[job] {
			t.Errorf("%s: last sequence %d, %v, want %d", job, last, err, want[job])
		}
	}
	if none, err := b.log.LastSequences(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("of no jobs: %v, %v", none, err)
	}
}

// Reading back returns what a model of the log returns, wherever the job's
// records lie, and however many were deleted.
func TestReadBackAgainstModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		jobs := []string{fmt.Sprint("a-", run), fmt.Sprint("b-", run), fmt.Sprint("c-", run)}
		model := map[string][]uint64{}
		// Runs of one job make it uneven: bursts, pauses, and long silence.
		for _, burst := range rapid.SliceOfN(rapid.IntRange(0, 2), 1, 6).Draw(rt, "bursts") {
			for range rapid.IntRange(1, 90).Draw(rt, "length") {
				model[jobs[burst]] = append(model[jobs[burst]], b.add(t, record(jobs[burst], "x"))...)
			}
		}
		for _, job := range jobs {
			if len(model[job]) == 0 {
				continue
			}
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(model[job])-1), 0, 3, rapid.ID).Draw(rt, "deleted") {
				if err := stream.DeleteMsg(t.Context(), model[job][i]); err != nil {
					rt.Fatal(err)
				}
				model[job][i] = 0
			}
			model[job] = slices.DeleteFunc(model[job], func(s uint64) bool { return s == 0 })
		}
		for range 6 {
			job := rapid.SampledFrom(jobs).Draw(rt, "job")
			limit := rapid.IntRange(0, 60).Draw(rt, "limit")
			before := uint64(math.MaxUint64)
			if rapid.Bool().Draw(rt, "bounded") && len(model[job]) > 0 {
				before = model[job][rapid.IntRange(0, len(model[job])-1).Draw(rt, "before")] + rapid.Uint64Range(0, 1).Draw(rt, "plus")
			}
			want := slices.DeleteFunc(slices.Clone(model[job]), func(s uint64) bool { return s >= before })
			want = want[max(0, len(want)-limit):]
			records, err := readBack(t.Context(), b.log, job, before, limit)
			if got := sequencesOf(records); err != nil || !slices.Equal(got, want) {
				rt.Fatalf("%s, %d before %d:\ngot  %v %v\nwant %v", job, limit, before, got, err, want)
			}
		}
	})
}

// Newest and before stay complete while records of the job are appended.
func TestReadBackWhileAppending(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const limit = 20
	first := b.add(t, record("job", "first"))[0]
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1500 {
			if _, err := b.log.Append(t.Context(), record("job", fmt.Sprint(i))); err != nil {
				t.Errorf("append: %v", err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		newest, err := readBack(t.Context(), b.log, "job", math.MaxUint64, limit)
		if err != nil {
			t.Fatal(err)
		}
		last := newest[len(newest)-1].Sequence
		checkRun(t, newest, first, limit)
		before, err := readBack(t.Context(), b.log, "job", last/2+2, limit)
		if err != nil {
			t.Fatal(err)
		}
		checkRun(t, before, first, limit)
		if end := before[len(before)-1].Sequence; end != last/2+1 {
			t.Fatalf("before %d ends at %d", last/2+2, end)
		}
	}
}

// checkRun expects limit records without a hole, or all from the first.
func checkRun(t *testing.T, records []messaging.Record, first uint64, limit int) {
	t.Helper()
	if len(records) < limit && records[0].Sequence != first {
		t.Fatalf("%d records from %d", len(records), records[0].Sequence)
	}
	for i := 1; i < len(records); i++ {
		if records[i].Sequence != records[i-1].Sequence+1 {
			t.Fatalf("hole after %d", records[i-1].Sequence)
		}
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := mustTime(t, "2025-01-02T03:04:05.123456789Z")
	letters := []messaging.DeadLetter{
		{Reason: messaging.ReasonInvalidJSON, Detail: "bad\r\nNats-Msg-Id: x\x00é", Source: "redis:c", At: at, Body: []byte("\x00{")},
		{Reason: messaging.ReasonSchemaViolation, Detail: "field event", Source: "http", At: at, Body: []byte("\x00{")},
		{Reason: messaging.ReasonTooLarge, Source: "http", At: at, Body: make([]byte, 9<<20)},
		{Reason: messaging.ReasonIDConflict, Source: "http", At: at},
	}
	for _, letter := range letters {
		for range 2 { // Heard by two gateways.
			if err := b.log.DeadLetter(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.log.DeadLetter(t.Context(), messaging.DeadLetter{}); !errors.Is(err, eventstore.ErrInvalidRecord) {
		t.Errorf("without a reason: %v", err)
	}
	got := b.allLetters(t)
	if len(got) != len(letters) {
		t.Fatalf("%d letters", len(got))
	}
	for i, letter := range got {
		want := letters[i]
		if letter.Reason != want.Reason || letter.Source != want.Source || !letter.At.Equal(at) ||
			letter.Sequence != uint64(i+1) || letter.BodyBytes != len(want.Body) {
			t.Errorf("letter %d: %s %s %s %d %d", i, letter.Reason, letter.Source, letter.At, letter.Sequence, letter.BodyBytes)
		}
		if string(letter.Body) != string(want.Body[:len(letter.Body)]) || len(letter.Body) < min(len(want.Body), 8_000_000) {
			t.Errorf("letter %d: body of %d bytes", i, len(letter.Body))
		}
	}
	if want := "bad  Nats-Msg-Id: x é"; got[0].Detail != want {
		t.Errorf("detail %q, want %q", got[0].Detail, want)
	}
	for _, after := range []uint64{1, 2} { // the third letter is larger than a page
		if page, err := b.operators().DeadLetters(t.Context(), after, 2); err != nil || len(page) != int(3-after) || page[0].Sequence != after+1 {
			t.Errorf("page after %d: %d letters, %v", after, len(page), err)
		}
	}
}

// allLetters reads the dead letters page by page.
func (b *bundle) allLetters(t *testing.T) []maintain.Letter {
	t.Helper()
	var all []maintain.Letter
	for after := uint64(0); ; after = all[len(all)-1].Sequence {
		page, err := b.operators().DeadLetters(t.Context(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// What somebody else puts under a job's subject is never its newest record: nobody
// could read up to there.
func TestLastSequenceIsOfARecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := b.add(t, record("job", "text"), record("job", "text"))[1]
	for _, job := range []string{"job", "job", "strange"} {
		if _, err := b.js.Publish(t.Context(), "novel.events."+job, []byte("by hand")); err != nil {
			t.Fatal(err)
		}
	}
	last, err := b.log.LastSequence(t.Context(), "job")
	if err != nil || last != want {
		t.Errorf("the last sequence is %d, %v; want %d", last, err, want)
	}
	if last, err := b.log.LastSequence(t.Context(), "strange"); err != nil || last != 0 {
		t.Errorf("without a record it is %d, %v", last, err)
	}
	all, err := b.log.LastSequences(t.Context(), []string{"job", "strange", "none"})
	if err != nil || !maps.Equal(all, map[string]uint64{"job": want}) {
		t.Errorf("the last sequences are %v, %v", all, err)
	}
}
