package projections_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// adoption is a model of a worker, the projection and two adopters at one collection. An
// event is published, projected, and written by its worker, in any order; each of these
// may happen never, or again. The worker's clock may be wrong, and its document late. The
// collection may be rebuilt, and the log may begin a new epoch.
type adoption struct {
	bench
	t         *testing.T
	epoch     string
	adopters  []projections.Adopter
	published []messaging.Record // in the log, by sequence
	projected int                // of them, from the first one on
	contents  map[string]*tallied
	late      int // documents with an _id of an earlier time
	epochs    int
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
	r := status(sequence, "job", "running", `{"n":1.0}`)
	if n := rapid.IntRange(0, 3).Draw(t, "content"); n > 0 {
		r = generation(sequence, "job", chapter(n))
	}
	r.Epoch = a.epoch
	return r
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
	doc := written(a.t, r)
	if rapid.Bool().Draw(t, "late") {
		doc[0].Value = bson.NewObjectIDFromTimestamp(time.Now().Add(-time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute))
		a.late++ // two of one second have the same _id otherwise
		id := doc[0].Value.(bson.ObjectID)
		binary.BigEndian.PutUint32(id[8:], uint32(a.late))
		doc[0].Value = id
	}
	// Less than the window, in which all events of the model are.
	skew := time.Duration(rapid.IntRange(-4, 4).Draw(t, "skew")) * time.Minute
	for i := range doc {
		if doc[i].Key == "emittedAt" {
			doc[i].Value = messaging.FormatTime(r.StoredAt.Add(skew))
		}
	}
	if _, err := a.events().InsertOne(a.t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	a.content(r).written++
}

// rebuild replaces the collection by one that is made from the log.
func (a *adoption) rebuild(t *rapid.T) {
	model := a.model(a.t, projections.History)
	extent := projections.Extent{Epoch: a.epoch, First: 1, Last: uint64(a.projected)}
	for _, err := range []error{
		model.Prepare(a.t.Context()),
		second(model.CopyKept(a.t.Context(), extent, nil)),
		model.Apply(a.t.Context(), a.published[:a.projected]),
		second(model.Mend(a.t.Context(), projections.Mending{Epoch: a.epoch, Shadow: true})),
		second(model.Exchange(a.t.Context())),
		second(model.Settle(a.t.Context(), extent)),
		second(model.DropOld(a.t.Context())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// renew begins a new epoch of the log, whose records are projected again.
func (a *adoption) renew(t *rapid.T) {
	a.epochs++
	a.epoch = fmt.Sprintf("Ep0ch%d", a.epochs)
	a.published = inEpoch(a.epoch, a.published)
	if err := a.WriteHistory(a.t.Context(), a.published, false); err != nil {
		t.Fatal(err)
	}
	if err := a.Supersede(a.t.Context(), a.published); err != nil {
		t.Fatal(err)
	}
	a.projected = len(a.published)
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
	if _, err := a.model(a.t, projections.History).Mend(a.t.Context(), projections.Mending{Epoch: a.epoch}); err != nil {
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
	extent := projections.Extent{Epoch: a.epoch, First: 1, Last: uint64(len(a.published))}
	if found := audit(a.t, a.model(a.t, projections.History), false, extent, a.published); !found.Equal() {
		t.Fatalf("not as the log says: %+v", found)
	}
}

// check reads as a gateway does, at any moment: what is projected stands once, with its
// own words, and beside it only what nobody has published.
func (a *adoption) check(t *rapid.T) {
	records, err := a.ReadAfter(a.t.Context(), "job", messaging.Position{Epoch: a.epoch}, 1000)
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
const adoptionSteps = 500

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
		a := &adoption{bench: b, t: t, epoch: epoch, contents: make(map[string]*tallied)}
		a.adopters = []projections.Adopter{b.NewAdopter(), b.NewAdopter()}
		actions := map[string]func(*rapid.T){
			"publish": a.publish, "write": a.write, "project": a.project, "repeat": a.repeat,
			"pass": a.pass, "interrupt": a.interrupt, "mend": a.mend, "": a.check,
			"rebuild": a.rebuild, "renew": a.renew,
		}
		for name, action := range actions {
			actions[name] = func(rt *rapid.T) { steps++; action(rt) }
		}
		rt.Repeat(actions)
		a.settle(rt)
	})
	t.Logf("%d steps", steps)
}
