package projections_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// someRecords has every form of document: exact, with raw, bare, and heads.
func someRecords() []messaging.Record {
	var records []messaging.Record
	for i := uint64(1); i <= 90; i += 3 {
		job := fmt.Sprint("job-", i%4)
		records = append(records,
			generation(i, job, chapter(int(i))),
			generation(i+1, job, `{"type":"x","occurredAt":"t","n":1.0}`),
			status(i+2, job, "running", fmt.Sprint(i)))
	}
	return append(records, record(91, "odd", messaging.KindDomain, "not JSON"), status(92, "odd", "failed", `null`))
}

func (b bench) model(t testing.TB, name string) *projections.Model {
	t.Helper()
	model, err := b.Model(name)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func wholeExtent() messaging.Extent { return messaging.Extent{Epoch: epoch, First: 1, Last: 92} }

// audit compares with the records as somebody who has the log does.
func audit(t testing.TB, model *projections.Model, shadow bool, extent messaging.Extent, records []messaging.Record) projections.Findings {
	t.Helper()
	a := model.Audit(shadow, extent, 5)
	expect := func() {
		for _, r := range records {
			if err := a.Expect(r); r.Sequence >= extent.First && r.Sequence <= extent.Last && err != nil {
				t.Fatal(err)
			}
		}
	}
	expect()
	if err := a.Sum(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Compare()
	for a.Next() {
		if a.Rereads() {
			expect()
		}
		if err := a.Match(t.Context(), extent.First); err != nil {
			t.Fatal(err)
		}
	}
	return a.Findings()
}

func TestAuditFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := someRecords()
	b.project(t, newFeed(records...))
	b.insert(t, b.events(),
		bson.D{{Key: "_id", Value: "legacy"}, {Key: "jobId", Value: "job-1"}, {Key: "kind", Value: "domain"}, {Key: "emittedAt", Value: "2020"}},
		bson.D{{Key: "_id", Value: "before:7"}, {Key: "jobId", Value: "job-1"}, {Key: "sequence", Value: int64(7)}, {Key: "epoch", Value: "before"}},
		bson.D{{Key: "_id", Value: epoch + ":93"}, {Key: "jobId", Value: "job-1"}, {Key: "sequence", Value: int64(93)}, {Key: "epoch", Value: epoch}},
	)
	history, heads := b.model(t, projections.History), b.model(t, projections.JobHeads)
	found := audit(t, history, false, wholeExtent(), records)
	if !found.Equal() || found.Expected != 92 || found.Found != 92 || found.Kept != 2 || found.Ahead != 1 || found.Digest == "" {
		t.Errorf("history: %+v", found)
	}
	if found := audit(t, heads, false, wholeExtent(), records); !found.Equal() || found.Expected != 5 || found.Found != 5 {
		t.Errorf("heads: %+v", found)
	}

	change := func(id string, value any) {
		t.Helper()
		if _, err := b.events().UpdateByID(t.Context(), epoch+":"+id, bson.D{{Key: "$set", Value: bson.D{{Key: "event", Value: value}}}}); err != nil {
			t.Fatal(err)
		}
	}
	change("4", bson.D{{Key: "type", Value: "forged"}})
	for _, id := range []string{"10", "22"} {
		if _, err := b.events().DeleteOne(t.Context(), bson.D{{Key: "_id", Value: epoch + ":" + id}}); err != nil {
			t.Fatal(err)
		}
	}
	b.insert(t, b.events(), bson.D{{Key: "_id", Value: "x"}, {Key: "jobId", Value: "nobody"}, {Key: "sequence", Value: int64(50)}, {Key: "epoch", Value: epoch}})
	if _, err := b.heads().DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "odd"}}); err != nil {
		t.Fatal(err)
	}
	found = audit(t, history, false, wholeExtent(), records)
	want := []projections.Difference{
		{What: projections.Different, Job: "job-0", Sequence: 4},
		{What: projections.Missing, Job: "job-2", Sequence: 10},
		{What: projections.Missing, Job: "job-2", Sequence: 22},
		{What: projections.Extra, Job: "nobody", Sequence: 50},
	}
	if found.Missing != 2 || found.Extra != 1 || found.Different != 1 || !slices.Equal(found.Differences, want) {
		t.Errorf("history: %+v", found)
	}
	found = audit(t, heads, false, wholeExtent(), records)
	if found.Missing != 1 || !slices.Equal(found.Differences, []projections.Difference{{What: projections.Missing, Job: "odd", Sequence: 92}}) {
		t.Errorf("heads: %+v", found)
	}
	// What the log no longer has is neither compared nor missed.
	late := messaging.Extent{Epoch: epoch, First: 51, Last: 92}
	if found := audit(t, history, false, late, records[50:]); !found.Equal() || found.Expected != 42 {
		t.Errorf("from 51 on: %+v", found)
	}
}

func TestShadowTakesTheCollectionsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := someRecords()
	b.project(t, newFeed(records[:40]...))
	legacy := func(id string) bson.D {
		return bson.D{{Key: "_id", Value: id}, {Key: "jobId", Value: "job-1"}, {Key: "kind", Value: "job-status"}, {Key: "emittedAt", Value: "2020"}, {Key: "status", Value: "queued"}}
	}
	b.insert(t, b.events(), legacy("early"))
	b.insert(t, b.heads(), bson.D{{Key: "_id", Value: "gone"}, {Key: "jobId", Value: "gone"}, {Key: "status", Value: "completed"}, {Key: "epoch", Value: "before"}, {Key: "sequence", Value: int64(3)}})
	for _, name := range projections.Names() {
		model := b.model(t, name)
		for range 2 { // as after an interruption
			if err := model.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := model.Apply(t.Context(), records); err != nil {
				t.Fatal(err)
			}
			if _, err := model.CopyKept(t.Context(), wholeExtent(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if found := audit(t, model, true, wholeExtent(), records); !found.Equal() || found.Kept != 1 {
			t.Errorf("the shadow of %s: %+v", name, found)
		}
		if found := audit(t, model, false, wholeExtent(), records); found.Equal() {
			t.Errorf("%s has been written by its shadow", name)
		}
		if name == projections.History {
			b.insert(t, b.events(), legacy("late"))
		}
		aside, err := model.Exchange(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		is, err := model.Collections(t.Context())
		if err != nil || is.Shadow || !is.Unfinished || !slices.Equal(is.Old, []string{aside}) {
			t.Errorf("after the exchange: %+v, %v", is, err)
		}
		if _, err := model.DropOld(t.Context()); !errors.Is(err, projections.ErrSwapUnfinished) {
			t.Errorf("dropped what is needed: %v", err)
		}
		for range 2 {
			if _, err := model.Settle(t.Context(), wholeExtent()); err != nil {
				t.Fatal(err)
			}
		}
		if found := audit(t, model, false, wholeExtent(), records); !found.Equal() {
			t.Errorf("%s after the swap: %+v", name, found)
		}
		if dropped, err := model.DropOld(t.Context()); err != nil || len(dropped) != 1 {
			t.Errorf("dropped %v: %v", dropped, err)
		}
	}
	if n := b.count(t, b.events(), bson.D{{Key: "sequence", Value: nil}}); n != 2 {
		t.Errorf("%d documents of older writers, want 2", n)
	}
	if head, found, err := b.Head(t.Context(), "gone"); err != nil || !found || head.Status != "completed" {
		t.Errorf("the head that the log cannot make: %+v, %v, %v", head, found, err)
	}
	names := make(map[string]bool)
	specs, err := b.events().Indexes().ListSpecifications(t.Context())
	for _, spec := range specs {
		names[spec.Name] = true
	}
	if err != nil || !names["idx_novel_job_events_jobId_sequence"] || !names["idx_novel_job_events_jobId_emittedAt"] {
		t.Errorf("indexes after the swap: %v, %v", names, err)
	}
}

// A swap that was cut between its renames is ended by the next, with what others
// have written meanwhile.
func TestExchangeAfterAnInterruption(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := someRecords()
	b.project(t, newFeed(records...))
	model := b.model(t, projections.History)
	if err := errors.Join(model.Prepare(t.Context()), model.Apply(t.Context(), records)); err != nil {
		t.Fatal(err)
	}
	// The collection goes as it does with the first rename, and an older writer
	// makes it anew.
	if err := b.events().Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.insert(t, b.events(), bson.D{{Key: "_id", Value: "stray"}, {Key: "jobId", Value: "job-1"}, {Key: "emittedAt", Value: "2020"}})
	if _, err := model.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Exchange(t.Context()); err == nil {
		t.Error("exchanged without a shadow")
	}
	if err := errors.Join(model.Prepare(t.Context()), model.Apply(t.Context(), records)); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := model.Settle(t.Context(), wholeExtent()); err != nil || n == 0 {
		t.Errorf("settled %d: %v", n, err)
	}
	if found := audit(t, model, false, wholeExtent(), records); !found.Equal() || found.Kept != 1 {
		t.Errorf("%+v", found)
	}
	if _, err := b.Model("no-such"); !errors.Is(err, projections.ErrNoProjection) {
		t.Errorf("Model: %v", err)
	}
}
