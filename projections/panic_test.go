package projections_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// explosive is a text over which the driver of a panickingBench panics.
const explosive = "explosive for the test"

// panickingBench is a bench whose driver panics over documents with the explosive text,
// so many times.
func panickingBench(t *testing.T, times int64) bench {
	t.Helper()
	var left atomic.Int64
	left.Store(times)
	b := setup(t)
	registry := bson.NewRegistry()
	registry.RegisterTypeEncoder(reflect.TypeFor[string](), bson.ValueEncoderFunc(
		func(_ bson.EncodeContext, w bson.ValueWriter, value reflect.Value) error {
			if strings.Contains(value.String(), explosive) && left.Add(-1) >= 0 {
				panic("for the test")
			}
			return w.WriteString(value.String())
		}))
	client, err := mongo.Connect(options.Client().ApplyURI(mongokit.URI()).SetRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	b.registry = prometheus.NewRegistry()
	logger := slog.New(slog.NewJSONHandler(b.logs, nil))
	if b.Store, err = projections.New(client.Database(b.db.Name()), patient(), logger, b.registry); err != nil {
		t.Fatal(err)
	}
	return b
}

// A record over which a projection panics costs no neighbour anything, and is written
// without its event.
func TestPanicOverARecordCostsItsEventOnly(t *testing.T) {
	t.Parallel()
	b := panickingBench(t, math.MaxInt64)
	var records []messaging.Record
	for n := range uint64(5) {
		records = append(records, generation(n+1, "job", chapter(int(n))))
	}
	records[2] = generation(3, "job", `{"type":"`+explosive+`","occurredAt":"o"}`)
	records = append(records,
		status(6, "good", "running", `{"n":1}`),
		status(7, "bad", "running", `{"n":"`+explosive+`"}`),
		status(8, "good", "completed", `{"n":2}`),
	)
	b.project(t, newFeed(records...))
	if _, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, 100); !errors.Is(err, projections.ErrIncomplete) {
		t.Errorf("the page with the omitted event: %v", err)
	}
	for _, after := range []uint64{0, 3} { // on either side of it
		page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch, Sequence: after}, 2)
		if err != nil || len(page) != 2 {
			t.Fatalf("%d records after %d, %v", len(page), after, err)
		}
		for i, r := range page {
			if want := records[after+uint64(i)]; r.Position != want.Position || string(r.Body) != string(want.Body) {
				t.Errorf("read %+v, want %+v", r, want)
			}
		}
	}
	if n := b.count(t, b.events(), bson.D{{Key: "omitted", Value: true}}); n != 2 {
		t.Errorf("%d documents without their event", n)
	}
	var head struct{ Status string }
	if err := b.heads().FindOne(t.Context(), bson.D{{Key: "_id", Value: "good"}}).Decode(&head); err != nil || head.Status != "completed" {
		t.Errorf("head %+v, %v", head, err)
	}
	if n, _ := b.metric(t, "realtime_projections_panics_total", ""); n == 0 {
		t.Error("no panic is counted")
	}
	if n := strings.Count(b.logs.String(), "a goroutine panicked"); n != 2 {
		t.Errorf("%d lines, want one for each projection: %s", n, b.logs)
	}
}

// A panic over a record that passes costs nothing: the record is written without its event,
// and then in full. Those after it are written meanwhile.
func TestPassingPanicCostsNothing(t *testing.T) {
	t.Parallel()
	b := panickingBench(t, 5)
	records := []messaging.Record{
		generation(1, "job", chapter(1)),
		status(2, "job", "running", `{"n":"`+explosive+`"}`),
		generation(3, "job", chapter(3)),
	}
	log := newFeed(records...)
	log.maxSize = 2
	b.running(t, log)
	<-log.applied
	eventually(t, "the records in full", func() bool {
		page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, 100)
		head, found, headErr := b.Head(t.Context(), "job")
		return err == nil && len(page) == len(records) && string(page[1].Body) == string(records[1].Body) &&
			headErr == nil && found && strings.Contains(string(head.Snapshot), explosive)
	})
	eventually(t, "no note", func() bool { omitted, err := b.Omitted(t.Context()); return err == nil && len(omitted) == 0 })
	for _, projection := range projections.Names() {
		b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="nothing",projection="`+projection+`"`, 0)
	}
}

// A record over which a projection goes on panicking is counted once, and noted for
// operators until it is erased.
func TestLastingPanicIsNoted(t *testing.T) {
	t.Parallel()
	b := panickingBench(t, math.MaxInt64)
	log := newFeed(status(1, "job", "running", `{"n":"`+explosive+`"}`))
	b.running(t, log)
	<-log.applied
	var omitted []projections.Omission
	eventually(t, "the notes", func() (noted bool) {
		var err error
		omitted, err = b.Omitted(t.Context())
		return err == nil && len(omitted) == 2
	})
	for _, o := range omitted {
		if o.JobID != "job" || o.Position != (messaging.Position{Epoch: epoch, Sequence: 1}) {
			t.Errorf("noted %+v", o)
		}
	}
	eventually(t, "the tries to end", func() bool { return strings.Count(b.logs.String(), "could not be stored in full") == 2 })
	for _, projection := range projections.Names() {
		b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="nothing",projection="`+projection+`"`, 1)
	}
	if _, err := b.EraseJob(t.Context(), "job", messaging.Position{Epoch: epoch, Sequence: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := b.db.Collection("novel_projection_omissions").CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
		t.Errorf("%d notes after the erasure, %v", n, err)
	}
}

// A rebuild tries a record over which it panics again before it goes on.
func TestPassingPanicOfARebuild(t *testing.T) {
	t.Parallel()
	b := panickingBench(t, 3)
	model := b.model(t, projections.History)
	if err := model.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := model.Apply(t.Context(), []messaging.Record{generation(1, "job", `{"type":"`+explosive+`","occurredAt":"o"}`)}); err != nil {
		t.Fatal(err)
	}
	shadow := b.db.Collection("novel_job_events_shadow")
	if n := b.count(t, shadow, bson.D{{Key: "omitted", Value: true}}); n != 0 {
		t.Errorf("%d documents without their event", n)
	}
}

// alarming is a record of erasures that panics once.
type alarming struct{ asked atomic.Int32 }

func (a *alarming) Erased(context.Context, uint64) ([]projections.Erasure, uint64, error) {
	if a.asked.Add(1) == 1 {
		panic("for the test")
	}
	return nil, 0, nil
}

// A pass of the adopter that panics is followed by others.
func TestPanicInTheAdopterIsRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Honour(&alarming{})
	r := generation(1, "job", chapter(1))
	b.insert(t, b.events(), written(t, r))
	b.running(t, newFeed(r))
	adopted := bson.D{{Key: "logStoredAt", Value: bson.D{{Key: "$exists", Value: true}}}}
	eventually(t, "the document to be adopted", func() bool { return b.count(t, b.events(), adopted) == 1 })
	b.checkMetric(t, "realtime_projections_panics_total", "", 1)
}
