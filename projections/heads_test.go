package projections_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
)

func TestHeadDocument(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.project(t, newFeed(
		status(1, "a.b $c", "running", `{"done":1}`),
		generation(2, "a.b $c", chapter(1)),
		status(3, "a.b $c", "completed", `{"done":2}`),
	))
	doc, err := b.heads().FindOne(t.Context(), bson.D{}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	got, err := bson.MarshalExtJSON(doc, false, false)
	want := `{"_id":"a.b $c","jobId":"a.b $c","status":"completed","snapshot":{"done":2},"sequence":3,"epoch":"Ep0ch",` +
		`"emittedAt":"2026-03-01T12:00:00.003Z","updatedAt":{"$date":"2026-03-01T12:00:00.003Z"}}`
	if err != nil || string(got) != want {
		t.Errorf("head, %v\nis   %s\nwant %s", err, got, want)
	}
}

func TestHeadNeverGoesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inEpoch := func(r messaging.Record, epoch string) messaging.Record {
		r.Epoch = epoch
		return r
	}
	for i, step := range []struct {
		record messaging.Record
		want   string
	}{
		{status(5, "j", "running", `5`), "running"},
		{status(4, "j", "queued", `4`), "running"},
		{status(5, "j", "failed", `5`), "running"},
		{status(6, "j", "completed", `6`), "completed"},
		{inEpoch(status(1, "j", "queued", `1`), "other"), "queued"},
		{inEpoch(status(2, "j", "failed", `2`), "other"), "failed"},
		{inEpoch(status(1, "j", "queued", `1`), "other"), "failed"},
	} {
		b.project(t, newFeed(step.record))
		head, found, err := b.Head(t.Context(), "j")
		if err != nil || !found || head.Status != step.want {
			t.Errorf("step %d: head %q, %v, %v; want %q", i, head.Status, found, err, step.want)
		}
	}
}

// TestManyHeadsInOneBatch has more heads to replace than FerretDB can in one
// command.
func TestManyHeadsInOneBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const jobs = 120 // more than FerretDB has connections
	for round := range 2 {
		var records []messaging.Record
		for i := range jobs {
			records = append(records, status(uint64(round*jobs+i+1), fmt.Sprint("job-", i), "running", fmt.Sprint(round)))
		}
		b.project(t, newFeed(records...))
	}
	if n := b.count(t, b.heads(), bson.D{{Key: "snapshot", Value: 1}}); n != jobs {
		t.Errorf("%d heads are of the second round, want %d", n, jobs)
	}
}

// TestSeveralProcesses lets several gateways apply the same records at once, each
// in an order of its own.
func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for i := range 60 {
		records = append(records, status(uint64(i+1), fmt.Sprint("job-", i%3), "running", fmt.Sprint(i)))
	}
	var gateways sync.WaitGroup
	for range 3 {
		other := setupAt(t, mongokit.URI(), patient())
		shuffled := append([]messaging.Record(nil), records...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		log := newFeed(shuffled...)
		log.maxSize = 1 // FerretDB does not replace as one step, so heads go one at a time
		gateways.Go(func() { other.project(t, log) })
	}
	gateways.Wait()
	if n := b.count(t, b.events(), bson.D{}); n != len(records) {
		t.Errorf("%d documents, want %d", n, len(records))
	}
}

func TestHeadFallsBackToTheWorkersAggregate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.insert(t, b.jobs(),
		bson.D{
			{Key: "jobId", Value: "dated"},
			{Key: "status", Value: "running"},
			{Key: "updatedAt", Value: stored},
			{Key: "summary", Value: bson.D{{Key: "n", Value: 1}}},
			{Key: "raw", Value: "not ours"},
		},
		bson.D{{Key: "jobId", Value: "text"}, {Key: "status", Value: "failed"}, {Key: "updatedAt", Value: "2026-01-01T00:00:00Z"}},
		bson.D{{Key: "jobId", Value: "both"}, {Key: "status", Value: "queued"}, {Key: "updatedAt", Value: stored}},
		bson.D{{Key: "jobId", Value: "timeless"}, {Key: "status", Value: "queued"}},
		bson.D{{Key: "jobId", Value: "odd"}, {Key: "status", Value: 7}},
	)
	b.project(t, newFeed(status(1, "both", "completed", `{"v":1.0}`)))
	for jobID, want := range map[string]string{
		"dated": `{dated running {"summary":{"n":1}} 2026-03-01T12:00:00.000Z} true`,
		"text":  `{text failed  2026-01-01T00:00:00Z} true`,
		"both":  `{both completed {"v":1.0} 2026-03-01T12:00:00.001Z} true`,
		"odd":   `{   } false`,
		"none":  `{   } false`,
	} {
		head, found, err := b.Head(t.Context(), jobID)
		if got := fmt.Sprintf("{%s %s %s %s} %t", head.JobID, head.Status, head.Snapshot, head.EmittedAt, found); err != nil || got != want {
			t.Errorf("head of %q is %s, %v; want %s", jobID, got, err, want)
		}
	}
	head, found, err := b.Head(t.Context(), "timeless")
	if _, bad := time.Parse(messaging.TimeLayout, head.EmittedAt); bad != nil || !found || err != nil {
		t.Errorf("head without a time: %+v, %t, %v", head, found, err)
	}
	if n := b.count(t, b.jobs(), bson.D{}); n != 5 {
		t.Errorf("novel_jobs has %d documents, want the worker's 5", n)
	}
	b.checkMetric(t, "realtime_projections_malformed_documents_total", "", 1)
}
