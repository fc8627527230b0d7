package projections_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// adoption is a model of a worker, the projection and two adopters at one collection. An
// event is published, projected, and written by its worker, in any order; each of these
// may happen never, or again.
type adoption struct {
	bench
	t         *testing.T
	adopters  []projections.Adopter
	published []messaging.Record // in the log, by sequence
	projected int                // of them, from the first one on
	contents  map[string]*tallied
}

// tallied counts the events of one content.
type tallied struct{ published, written int }

func (a *adoption) content(r messaging.Record) *tallied {
	if a.contents[string(r.Body)] == nil {
		a.contents[string(r.Body)] = &tallied{}
	}
	return a.contents[string(r.Body)]
}

// standing is how often events are to stand in the end: one that was published and
// written is one event.
func (a *adoption) standing() (n int) {
	for _, c := range a.contents {
		n += max(c.published, c.written)
	}
	return n
}

// draw returns an event of one of a few contents, so that equal ones are frequent.
func (a *adoption) draw(t *rapid.T) messaging.Record {
	sequence := uint64(len(a.published) + 1)
	if n := rapid.IntRange(0, 3).Draw(t, "content"); n > 0 {
		return generation(sequence, "job", chapter(n))
	}
	return status(sequence, "job", "running", `{"n":1.0}`)
}

func (a *adoption) publish(t *rapid.T) {
	r := a.draw(t)
	a.published = append(a.published, r)
	a.content(r).published++
}

func (a *adoption) write(t *rapid.T) {
	r := a.draw(t)
	if len(a.published) > 0 && rapid.Bool().Draw(t, "of one published") {
		r = rapid.SampledFrom(a.published).Draw(t, "record")
	}
	if _, err := a.events().InsertOne(a.t.Context(), written(a.t, r)); err != nil {
		t.Fatal(err)
	}
	a.content(r).written++
}

func (a *adoption) project(t *rapid.T) {
	batch := a.published[a.projected:]
	if len(batch) > 0 {
		batch = batch[:rapid.IntRange(1, len(batch)).Draw(t, "batch")]
	}
	a.projected += len(batch)
	if err := a.WriteHistory(a.t.Context(), batch, false); err != nil {
		t.Fatal(err)
	}
}

// repeat is a batch whose acknowledgement was lost.
func (a *adoption) repeat(t *rapid.T) {
	from := rapid.IntRange(0, a.projected).Draw(t, "from")
	to := rapid.IntRange(from, a.projected).Draw(t, "to")
	if err := a.WriteHistory(a.t.Context(), a.published[from:to], true); err != nil {
		t.Fatal(err)
	}
}

func (a *adoption) pass(t *rapid.T) {
	if err := rapid.SampledFrom(a.adopters).Draw(t, "adopter").Pass(a.t.Context()); err != nil {
		t.Fatal(err)
	}
}

// interrupt is an adopter that dies between its two writes: the projection's documents
// are there still.
func (a *adoption) interrupt(t *rapid.T) {
	if a.projected == 0 {
		return
	}
	a.pass(t)
	r := a.published[rapid.IntRange(0, a.projected-1).Draw(t, "record")]
	if err := a.adopters[0].Interrupt(a.t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteHistory(a.t.Context(), []messaging.Record{r}, false); err != nil {
		t.Fatal(err)
	}
}

func (a *adoption) mend(t *rapid.T) {
	if _, err := a.model(a.t, projections.History).Mend(a.t.Context(), projections.Mending{Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
}

// settle brings all that is under way to its end, and judges.
func (a *adoption) settle(t *rapid.T) {
	for a.projected < len(a.published) {
		a.project(t)
	}
	for range 3 {
		a.pass(t)
	}
	if n := a.shown(a.t, "job"); n != a.standing() {
		t.Fatalf("%d documents of %d events: %v", n, a.standing(), a.contents)
	}
	a.check(t)
	extent := projections.Extent{Epoch: epoch, First: 1, Last: uint64(len(a.published))}
	if found := audit(a.t, a.model(a.t, projections.History), false, extent, a.published); !found.Equal() {
		t.Fatalf("not as the log says: %+v", found)
	}
}

// check reads as a gateway does, at any moment: what is projected stands once, with its
// own words, and beside it only what nobody has published.
func (a *adoption) check(t *rapid.T) {
	records, err := a.ReadAfter(a.t.Context(), "job", messaging.Position{Epoch: epoch}, 1000)
	if err != nil || len(records) != a.projected {
		t.Fatalf("%d records of %d: %v", len(records), a.projected, err)
	}
	for i, r := range records {
		if want := a.published[i]; r.Position != want.Position || r.EmittedAt != want.EmittedAt || !r.StoredAt.Equal(want.StoredAt) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	older, err := a.Older(a.t.Context(), "job", func(each func(messaging.Record)) {
		for _, r := range a.published[a.projected:] {
			each(r)
		}
	})
	if want := a.standing() - len(a.published); err != nil || older != want {
		t.Fatalf("%d documents of older writers, want %d: %v", older, want, err)
	}
}

// adoptionSteps is how many steps the model takes at least, unless it fails.
const adoptionSteps = 400

// TestAdoptionModel: whatever comes in whatever order, each event stands once in the end,
// as the log has it, and no reader of ours has met one twice on the way.
func TestAdoptionModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	steps := 0
	rapid.Check(t, func(rt *rapid.T) {
		if steps >= adoptionSteps && !t.Failed() {
			return // FerretDB takes its time
		}
		if _, err := b.events().DeleteMany(t.Context(), bson.D{}); err != nil {
			rt.Fatal(err)
		}
		a := &adoption{bench: b, t: t, contents: make(map[string]*tallied)}
		a.adopters = []projections.Adopter{b.NewAdopter(), b.NewAdopter()}
		actions := map[string]func(*rapid.T){
			"publish": a.publish, "write": a.write, "project": a.project, "repeat": a.repeat,
			"pass": a.pass, "interrupt": a.interrupt, "mend": a.mend, "": a.check,
		}
		for name, action := range actions {
			actions[name] = func(rt *rapid.T) { steps++; action(rt) }
		}
		rt.Repeat(actions)
		a.settle(rt)
	})
	t.Logf("%d steps", steps)
}
