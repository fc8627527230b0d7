package projections_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
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
// collection may be rebuilt, a job erased, and the log may begin a new epoch.
type adoption struct {
	bench
	t         *testing.T
	epoch     string
	adopters  []projections.Adopter
	published []messaging.Record // in the log, by sequence; erased ones too
	erased    []bool             // of each of them
	projected int                // of them, from the first one on
	contents  map[content]*tallied
	noted     *erasures
	erasures  map[string]int // of each job
	late      int            // documents with an _id of an earlier time
	epochs    int
	shadow    bool // there is one, of this epoch
}

// content is what equal events of a job have in common.
type content struct{ job, body string }

// tallied counts the events of one content.
type tallied struct{ published, written int }

// modelJobs are the jobs of the model. One is erased beside the other.
var modelJobs = []string{"job", "other"}

// life is the time from one erasure of a job to the next, more than that within which a
// document and a record belong together. All events of a life are at its beginning.
const life = time.Hour

// erasedInLife is when in a life the job is erased. It is later than every event of the life,
// and so much earlier than those of the next that no clock of the model is wrong by it.
const erasedInLife = life / 2

func (a *adoption) of(r messaging.Record) *tallied {
	c := content{r.JobID, string(r.Body)}
	if a.contents[c] == nil {
		a.contents[c] = &tallied{}
	}
	return a.contents[c]
}

// standing is how often events of a job are to stand in the end: one that was published
// and written is one event.
func (a *adoption) standing(job string) (n int) {
	for c, tally := range a.contents {
		if c.job == job {
			n += max(tally.published, tally.written)
		}
	}
	return n
}

// inLog returns those of the published records from one to another that were not erased.
func (a *adoption) inLog(from, to int) (records []messaging.Record) {
	for i := from; i < to; i++ {
		if !a.erased[i] {
			records = append(records, a.published[i])
		}
	}
	return records
}

// draw returns an event of one of a few contents, so that equal ones are frequent.
func (a *adoption) draw(t *rapid.T) messaging.Record {
	sequence := uint64(len(a.published) + 1)
	job := rapid.SampledFrom(modelJobs).Draw(t, "job")
	r := status(sequence, job, "running", `{"n":1.0}`)
	if n := rapid.IntRange(0, 3).Draw(t, "content"); n > 0 {
		r = generation(sequence, job, chapter(n))
	}
	r.Epoch = a.epoch
	r.StoredAt = r.StoredAt.Add(time.Duration(a.erasures[job]) * life)
	r.EmittedAt = messaging.FormatTime(r.StoredAt)
	return r
}

func (a *adoption) publish(t *rapid.T) {
	r := a.draw(t)
	a.published, a.erased = append(a.published, r), append(a.erased, false)
	a.of(r).published++
}

func (a *adoption) write(t *rapid.T) {
	r, erased := a.draw(t), false
	if len(a.published) > 0 && rapid.Bool().Draw(t, "of one published") {
		i := rapid.IntRange(0, len(a.published)-1).Draw(t, "record")
		r, erased = a.published[i], a.erased[i]
	}
	doc := written(a.t, r)
	if rapid.Bool().Draw(t, "late") {
		doc[0].Value = bson.NewObjectIDFromTimestamp(time.Now().Add(-time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute))
		a.late++ // two of one second have the same _id otherwise
		id := doc[0].Value.(bson.ObjectID)
		binary.BigEndian.PutUint32(id[8:], uint32(a.late))
		doc[0].Value = id
	}
	// Less than the window, in which all events of a life are.
	skew := time.Duration(rapid.IntRange(-4, 4).Draw(t, "skew")) * time.Minute
	for i := range doc {
		if doc[i].Key == "emittedAt" {
			doc[i].Value = messaging.FormatTime(r.StoredAt.Add(skew))
		}
	}
	if _, err := a.events().InsertOne(a.t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if !erased {
		a.of(r).written++
	}
}

// erase erases a job, as the command does: the erasure is noted first, and no batch is
// being written.
func (a *adoption) erase(t *rapid.T) {
	job := rapid.SampledFrom(modelJobs).Draw(t, "job")
	a.noted.note(job, stored.Add(time.Duration(a.erasures[job])*life+erasedInLife))
	a.erasures[job]++
	for i, r := range a.published {
		a.erased[i] = a.erased[i] || r.JobID == job
	}
	for c := range a.contents {
		if c.job == job {
			delete(a.contents, c)
		}
	}
	through := messaging.Position{Epoch: a.epoch, Sequence: uint64(len(a.published))}
	if _, err := a.EraseJob(a.t.Context(), job, through, nil); err != nil {
		t.Fatal(err)
	}
}

// fill fills a shadow from the log.
func (a *adoption) fill(t *rapid.T) {
	model := a.model(a.t, projections.History)
	extent := messaging.Extent{Epoch: a.epoch, First: 1, Last: uint64(a.projected)}
	for _, step := range []func() error{
		func() error { return model.Prepare(a.t.Context()) },
		func() error { return second(model.CopyKept(a.t.Context(), extent, nil)) },
		func() error { return model.Apply(a.t.Context(), a.inLog(0, a.projected)) },
		func() error {
			return second(model.Mend(a.t.Context(), projections.Mending{Epoch: a.epoch, Shadow: true}))
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	a.shadow = true
}

// rebuild replaces the collection by one that is made from the log. A shadow may be there
// from a fill before.
func (a *adoption) rebuild(t *rapid.T) {
	a.fill(t)
	model := a.model(a.t, projections.History)
	extent := messaging.Extent{Epoch: a.epoch, First: 1, Last: uint64(a.projected)}
	for _, step := range []func() error{
		func() error { return second(model.Exchange(a.t.Context())) },
		func() error { return second(model.Settle(a.t.Context(), extent)) },
		func() error { return second(model.DropOld(a.t.Context())) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	a.shadow = false
}

func second[T any](_ T, err error) error { return err }

// dropShadow ends a rebuild, as a new epoch does.
func (a *adoption) dropShadow(t *rapid.T) {
	if err := a.model(a.t, projections.History).DropShadow(a.t.Context()); err != nil {
		t.Fatal(err)
	}
	a.shadow = false
}

// renew begins a new epoch of the log, whose records are projected again.
func (a *adoption) renew(t *rapid.T) {
	if a.shadow {
		a.dropShadow(t)
	}
	a.epochs++
	a.epoch = fmt.Sprintf("Ep0ch%d", a.epochs)
	a.published = inEpoch(a.epoch, a.published)
	a.projected = len(a.published)
	records := a.inLog(0, a.projected)
	if err := a.WriteHistory(a.t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	if err := a.Supersede(a.t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

func (a *adoption) project(t *rapid.T) {
	end := a.projected
	if left := len(a.published) - a.projected; left > 0 {
		end += rapid.IntRange(1, left).Draw(t, "batch")
	}
	batch := a.inLog(a.projected, end)
	a.projected = end
	if err := a.WriteHistory(a.t.Context(), batch, false); err != nil {
		t.Fatal(err)
	}
}

// repeat is a batch whose acknowledgement was lost.
func (a *adoption) repeat(t *rapid.T) {
	from := rapid.IntRange(0, a.projected).Draw(t, "from")
	to := rapid.IntRange(from, a.projected).Draw(t, "to")
	if err := a.WriteHistory(a.t.Context(), a.inLog(from, to), true); err != nil {
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
	records := a.inLog(0, a.projected)
	if len(records) == 0 {
		return
	}
	a.pass(t)
	r := rapid.SampledFrom(records).Draw(t, "record")
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
	for _, job := range modelJobs {
		if n := a.shown(a.t, job); n != a.standing(job) {
			t.Fatalf("%d documents of %d events of %q: %v", n, a.standing(job), job, a.contents)
		}
	}
	a.check(t)
	extent := messaging.Extent{Epoch: a.epoch, First: 1, Last: uint64(len(a.published))}
	if found := audit(a.t, a.model(a.t, projections.History), false, extent, a.inLog(0, len(a.published))); !found.Equal() {
		t.Fatalf("not as the log says: %+v", found)
	}
}

// check reads as a gateway does, at any moment: what is projected stands once, with its
// own words, and beside it only what nobody has published. Of a job that was erased a
// gateway shows no document without a sequence.
func (a *adoption) check(t *rapid.T) {
	for _, job := range modelJobs {
		var want []messaging.Record
		for _, r := range a.inLog(0, a.projected) {
			if r.JobID == job {
				want = append(want, r)
			}
		}
		records, err := a.ReadAfter(a.t.Context(), job, messaging.Position{Epoch: a.epoch}, 1000)
		if err != nil || len(records) != len(want) {
			t.Fatalf("%d records of %d: %v", len(records), len(want), err)
		}
		for i, r := range records {
			if want := want[i]; r.Position != want.Position || r.EmittedAt != want.EmittedAt || !r.StoredAt.Equal(want.StoredAt) {
				t.Fatalf("record %d is %+v", i, r)
			}
		}
		if a.erasures[job] > 0 {
			continue
		}
		published := len(want)
		older, err := a.Older(a.t.Context(), job, func(each func(messaging.Record)) {
			for _, r := range a.inLog(a.projected, len(a.published)) {
				if r.JobID == job {
					each(r)
					published++
				}
			}
		})
		if want := a.standing(job) - published; err != nil || older != want {
			t.Fatalf("%d documents of older writers, want %d: %v", older, want, err)
		}
	}
}

// adoptionSteps returns how many steps the model takes at least, unless it fails:
// MODEL_STEPS, or 500.
func adoptionSteps() int {
	if steps, err := strconv.Atoi(os.Getenv("MODEL_STEPS")); err == nil {
		return steps
	}
	return 500
}

// TestAdoptionModel: whatever comes in whatever order, each event stands once in the end,
// as the log has it, no reader of ours has seen one twice on the way, and nothing that was
// erased is there again.
func TestAdoptionModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	steps, most := 0, adoptionSteps()
	rapid.Check(t, func(rt *rapid.T) {
		if steps >= most && !t.Failed() {
			return // FerretDB takes its time
		}
		if _, err := b.events().DeleteMany(t.Context(), bson.D{}); err != nil {
			rt.Fatal(err)
		}
		a := &adoption{bench: b, t: t, epoch: epoch, contents: make(map[content]*tallied), noted: &erasures{}, erasures: make(map[string]int)}
		b.Honour(a.noted)
		a.dropShadow(rt) // of a run before
		a.adopters = []projections.Adopter{b.NewAdopter(), b.NewAdopter()}
		actions := map[string]func(*rapid.T){
			"publish": a.publish, "write": a.write, "project": a.project, "repeat": a.repeat,
			"pass": a.pass, "interrupt": a.interrupt, "mend": a.mend, "": a.check,
			"fill": a.fill, "rebuild": a.rebuild, "renew": a.renew, "erase": a.erase,
		}
		for name, action := range actions {
			actions[name] = func(rt *rapid.T) { steps++; action(rt) }
		}
		rt.Repeat(actions)
		a.settle(rt)
	})
	t.Logf("%d steps", steps)
}
