package replay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
)

func TestSelections(t *testing.T) {
	t.Parallel()
	log := setup(t)
	add(t, log, "a", messaging.KindDomain, 3)      // 1, 2, 3
	add(t, log, "b.*", messaging.KindDomain, 2)    // 4, 5
	add(t, log, "a", messaging.KindGeneration, 2)  // 6, 7
	add(t, log, "c", messaging.Kind("of-mine"), 1) // 8
	since := replay.Bound{At: storedAt(t, log, 4)}
	before := replay.Bound{At: storedAt(t, log, 6)}
	state, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		selection replay.Selection
		want      []uint64
	}{
		"all":               {replay.Selection{}, span(1, 8)},
		"sequences":         {replay.Selection{From: sequence(2), To: sequence(5)}, span(2, 5)},
		"one":               {replay.Selection{From: sequence(8), To: sequence(8)}, span(8, 8)},
		"times":             {replay.Selection{From: since, To: before}, span(4, 5)},
		"from a time":       {replay.Selection{From: before}, span(6, 8)},
		"until a time":      {replay.Selection{To: since}, span(1, 3)},
		"before everything": {replay.Selection{To: replay.Bound{At: time.Unix(1, 0)}}, nil},
		"after everything":  {replay.Selection{From: replay.Bound{At: time.Now().Add(time.Hour)}}, nil},
		"beyond the end":    {replay.Selection{From: sequence(9)}, nil},
		"backwards":         {replay.Selection{From: sequence(5), To: sequence(2)}, nil},
		"a job":             {replay.Selection{Jobs: []string{"a"}}, []uint64{1, 2, 3, 6, 7}},
		"an odd job":        {replay.Selection{Jobs: []string{"b.*"}, From: sequence(5)}, []uint64{5}},
		"jobs":              {replay.Selection{Jobs: []string{"c", "b.*"}}, []uint64{4, 5, 8}},
		"a job that is not": {replay.Selection{Jobs: []string{"d"}}, nil},
		"kinds":             {replay.Selection{Kinds: []messaging.Kind{messaging.KindGeneration, "of-mine"}}, []uint64{6, 7, 8}},
		"types":             {replay.Selection{Types: []string{"of-generation"}}, []uint64{6, 7}},
		"job, kind, type":   {replay.Selection{Jobs: []string{"a"}, Kinds: []messaging.Kind{messaging.KindDomain}, Types: []string{"of-domain"}}, span(1, 3)},
		"this epoch":        {replay.Selection{From: replay.Bound{Position: messaging.Position{Epoch: state.Epoch, Sequence: 7}}}, span(7, 8)},
	}
	for name, test := range tests {
		got, outcome := sequencesOf(t, log, replay.Plan{Selection: test.selection})
		same(t, name, got, test.want)
		if outcome.Events != uint64(len(test.want)) || outcome.Next != max(outcome.Last+1, outcome.First) {
			t.Errorf("%s: outcome %+v", name, outcome)
		}
		estimate, err := replay.Estimate(t.Context(), log, replay.Plan{Selection: test.selection})
		if err != nil || estimate.Events != outcome.Events || estimate.Bytes != outcome.Bytes {
			t.Errorf("%s: estimated %+v, then %+v: %v", name, estimate, outcome, err)
		}
	}
	foreign := replay.Plan{Selection: replay.Selection{From: replay.Bound{Position: messaging.Position{Epoch: "old", Sequence: 1}}}}
	if _, err := replay.Run(t.Context(), log, &memory{}, foreign); !errors.Is(err, replay.ErrEpoch) {
		t.Errorf("another epoch: %v", err)
	}
}

// Whatever ends a replay early, its outcome says where to go on, and the two halves
// are the whole.
func TestEarlyEndsGoOn(t *testing.T) {
	t.Parallel()
	const last = 1300 // more than two batches
	log := setup(t)
	add(t, log, "a", messaging.KindDomain, last)
	for name, broken := range map[string]func(cancel func()) *memory{
		"interrupted at once":  func(cancel func()) *memory { cancel(); return &memory{} },
		"interrupted at 1":     func(cancel func()) *memory { return &memory{after: at(1, cancel)} },
		"interrupted at 777":   func(cancel func()) *memory { return &memory{after: at(777, cancel)} },
		"interrupted at 500":   func(cancel func()) *memory { return &memory{after: at(500, cancel)} },
		"interrupted at 1300":  func(cancel func()) *memory { return &memory{after: at(last, cancel)} },
		"broken at 900":        func(func()) *memory { return &memory{failAt: 900} },
		"broken flush, at 500": func(func()) *memory { return &memory{failFlush: true} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sink := broken(cancel)
			outcome, err := replay.Run(ctx, log, sink, replay.Plan{})
			if err == nil && outcome.Next != last+1 {
				t.Fatalf("ended at %d without an error", outcome.Next)
			}
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
			rest := &memory{}
			if _, err := replay.Run(t.Context(), log, rest, replay.Plan{Selection: replay.Selection{From: sequence(outcome.Next)}}); err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("halves at %d", outcome.Next), append(sink.flushed, rest.flushed...), span(1, last))
		})
	}
}

func at(count int, do func()) func(int) {
	return func(taken int) {
		if taken == count {
			do()
		}
	}
}

func TestUnfitEventsAreCounted(t *testing.T) {
	t.Parallel()
	log := setup(t)
	add(t, log, "a", messaging.KindDomain, 5)
	sink := memory{unfit: 3}
	outcome, err := replay.Run(t.Context(), log, &sink, replay.Plan{})
	if err != nil || outcome.Unfit != 1 || outcome.Events != 4 {
		t.Errorf("outcome %+v, %v", outcome, err)
	}
	same(t, "taken", sink.flushed, []uint64{1, 2, 4, 5})
}

// What is appended during a replay into the log is not part of it, and each record
// is stored, within the window in which the server knows the ids of the originals.
func TestIntoTheLog(t *testing.T) {
	t.Parallel()
	log := setup(t)
	add(t, log, "a", messaging.KindDomain, 20)
	run := func(id string, selection replay.Selection) replay.Outcome {
		t.Helper()
		selection.NotRun = id
		outcome, err := replay.Run(t.Context(), log, replay.IntoLog(log, id), replay.Plan{Selection: selection})
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	run("first", replay.Selection{})
	records := read(t, log)
	if len(records) != 40 {
		t.Fatalf("the log holds %d records, want 40", len(records))
	}
	for i, record := range records[20:] {
		original := records[i]
		if record.ReplayOf != original.Position || record.ID != original.ID || string(record.Body) != string(original.Body) ||
			record.Kind != original.Kind || record.EmittedAt != original.EmittedAt || record.JobID != original.JobID {
			t.Errorf("record %d is %+v, of %+v", record.Sequence, record, original)
		}
	}
	// The same run, repeated with or without its bounds, stores nothing more.
	run("first", replay.Selection{})
	run("first", replay.Selection{To: sequence(20)})
	if records = read(t, log); len(records) != 40 {
		t.Fatalf("after a repeat the log holds %d records, want 40", len(records))
	}
	// Another run is another replay, of replays too.
	run("second", replay.Selection{From: sequence(40)})
	if records = read(t, log); len(records) != 41 || records[40].ReplayOf.Sequence != 40 {
		t.Errorf("after another run the log holds %d records", len(records))
	}
	// The producer's repeat is still known as such.
	repeat := records[0]
	repeat.Position = messaging.Position{}
	receipt, err := log.Append(t.Context(), repeat)
	if err != nil || !receipt.Duplicate || receipt.Sequence != 1 {
		t.Errorf("the producer's repeat: %+v, %v", receipt, err)
	}
}

func read(t *testing.T, log *maintain.Log) []messaging.Record {
	t.Helper()
	var records []messaging.Record
	if err := log.Scan(t.Context(), 1, 1<<40, func(r messaging.Record) error { records = append(records, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return records
}
