package projections_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// erasures is a record of erasures, each noted with the number of its place.
type erasures struct {
	mu    sync.Mutex // guards what follows
	notes []projections.Erasure
	fails error
}

func (e *erasures) note(jobID string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, projections.Erasure{JobID: jobID, At: at})
}

func (e *erasures) Erased(_ context.Context, after uint64) ([]projections.Erasure, uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.notes[after:], uint64(len(e.notes)), e.fails
}

// erasedAt is when the jobs of these tests were erased: a minute after their first record.
var erasedAt = stored.Add(time.Minute)

// late are documents that workers write after an erasure, by what is to become of them.
func late(t *testing.T) (gone, kept map[string]bson.D) {
	t.Helper()
	at := func(job string, offset time.Duration) messaging.Record {
		r := generation(1, job, chapter(1))
		r.StoredAt = erasedAt.Add(offset)
		return r
	}
	with := func(doc bson.D, name string, value any) bson.D {
		for i := range doc {
			if doc[i].Key == name {
				doc[i].Value = value
			}
		}
		return doc
	}
	gone = map[string]bson.D{
		"of an event long before the erasure":   written(t, at("erased", -50*time.Second)),
		"of an event just before the erasure":   written(t, at("erased", 0)),
		"by a clock that is a little ahead":     written(t, at("erased", 5*time.Second)),
		"with a date as its time":               with(written(t, at("erased", -time.Second)), "emittedAt", erasedAt.Add(-time.Second)),
		"without a time, made before":           with(written(t, at("erased", -time.Second)), "emittedAt", "yesterday"),
		"no event at all":                       with(written(t, at("erased", -time.Second)), "event", 1),
		"between two erasures":                  written(t, at("twice", 30*time.Minute)),
		"before both of two erasures":           written(t, at("twice", -time.Second)),
		"of a job whose erasures came reversed": written(t, at("reversed", 30*time.Minute)),
	}
	kept = map[string]bson.D{
		"of an event after the erasure":    written(t, at("erased", time.Minute)),
		"of an event after two erasures":   written(t, at("twice", 2*time.Hour)),
		"of a job that was never erased":   written(t, at("another", -time.Second)),
		"with a sequence, and so a record": append(written(t, at("erased", -time.Second)), bson.E{Key: "sequence", Value: int64(7)}, bson.E{Key: "epoch", Value: epoch}, bson.E{Key: "logStoredAt", Value: stored}),
	}
	return gone, kept
}

func notedErasures() *erasures {
	noted := &erasures{}
	noted.note("erased", erasedAt)
	noted.note("twice", erasedAt)
	noted.note("twice", erasedAt.Add(time.Hour))
	noted.note("reversed", erasedAt.Add(time.Hour))
	noted.note("reversed", erasedAt)
	return noted
}

// judge reports documents that are there and should not be, and the other way round.
func (b bench) judge(t *testing.T, gone, kept map[string]bson.D) {
	t.Helper()
	for want, docs := range []map[string]bson.D{gone, kept} {
		for name, doc := range docs {
			if n := b.count(t, b.events(), bson.D{{Key: "_id", Value: doc[0].Value}}); n != want {
				t.Errorf("%s: %d documents, want %d", name, n, want)
			}
		}
	}
}

func insertAll(t *testing.T, b bench, documents ...map[string]bson.D) {
	t.Helper()
	for _, docs := range documents {
		for _, doc := range docs {
			b.insert(t, b.events(), doc)
		}
	}
}

// TestLateCopiesOfErasedEvents: what workers write of erased events is removed, whichever
// process makes the pass, and whatever it was before the process ran.
func TestLateCopiesOfErasedEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noted := notedErasures()
	b.Honour(noted)
	gone, kept := late(t)
	insertAll(t, b, gone, kept)
	first := b.NewAdopter()
	if err := first.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.judge(t, gone, kept)

	// Another process, that was started later, and one that ran before the next erasure.
	for _, adopter := range []projections.Adopter{b.NewAdopter(), first} {
		gone, _ := late(t)
		insertAll(t, b, gone)
		if err := adopter.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.judge(t, gone, kept)
	}
	noted.note("another", erasedAt)
	if err := first.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	another := "of a job that was never erased"
	b.judge(t, map[string]bson.D{another: kept[another]}, nil)
}

// While the record of erasures does not answer, those that are known are honoured, and
// documents are adopted.
func TestErasuresThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noted := notedErasures()
	b.Honour(noted)
	adopter := b.NewAdopter()
	if err := adopter.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	noted.fails = context.DeadlineExceeded
	gone, kept := late(t)
	insertAll(t, b, gone, kept)
	r := generation(1, "alive", chapter(1))
	b.insert(t, b.events(), written(t, r))
	if err := b.WriteHistory(t.Context(), []messaging.Record{r}, false); err != nil {
		t.Fatal(err)
	}
	if err := adopter.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "erasures") {
		t.Errorf("the pass ends with %v", err)
	}
	b.judge(t, gone, kept)
	if n := b.shown(t, "alive"); n != 1 {
		t.Errorf("%d documents of one event", n)
	}
}

// TestLateCopiesAreMended: what is written while no gateway runs goes with a mending, of
// the collection and of a shadow. One that changes nothing counts.
func TestLateCopiesAreMended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Honour(notedErasures())
	gone, kept := late(t)
	insertAll(t, b, gone, kept)
	model := b.model(t, projections.History)
	if found, err := model.Mend(t.Context(), projections.Mending{Epoch: epoch, Dry: true}); err != nil || found.Erased != len(gone) || found.Total() != len(gone) {
		t.Errorf("found %+v, %v", found, err)
	}
	for _, shadow := range []bool{true, false} {
		if shadow {
			if err := model.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := model.CopyKept(t.Context(), messaging.Extent{Epoch: epoch, First: 1, Last: 9}, func(int) {}); err != nil {
				t.Fatal(err)
			}
		} else {
			insertAll(t, b, gone) // the mending of the shadow has removed them
		}
		if mended, err := model.Mend(t.Context(), projections.Mending{Epoch: epoch, Shadow: shadow}); err != nil || mended.Erased != len(gone) {
			t.Errorf("shadow %t: mended %+v, %v", shadow, mended, err)
		}
		b.judge(t, gone, kept)
	}
	if n := b.count(t, b.db.Collection(b.events().Name()+"_shadow"), bson.D{}); n != len(kept) {
		t.Errorf("the shadow has %d documents, want %d", n, len(kept))
	}
}
