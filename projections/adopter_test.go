package projections_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// written is a record's document as a worker of the contract writes it: the content
// of the envelope, the time of the event, and no sequence.
func written(t testing.TB, r messaging.Record) bson.D {
	t.Helper()
	var body bson.D
	if err := bson.UnmarshalExtJSON(r.Body, false, &body); err != nil {
		t.Fatal(err)
	}
	emitted := r.StoredAt.Add(-3 * time.Millisecond)
	doc := bson.D{
		{Key: "_id", Value: bson.NewObjectID()},
		{Key: "jobId", Value: r.JobID},
		{Key: "kind", Value: string(r.Kind)},
		{Key: "emittedAt", Value: messaging.FormatTime(emitted)},
	}
	for _, field := range body {
		switch field.Key {
		case "event", "status", "snapshot":
			doc = append(doc, field)
		}
	}
	return append(doc, bson.E{Key: "createdAt", Value: emitted}, bson.E{Key: "updatedAt", Value: emitted}, bson.E{Key: "__v", Value: 0})
}

// shown counts what a program sees that reads the collection and knows nothing of the
// projection.
func (b bench) shown(t testing.TB, jobID string) int {
	return b.count(t, b.events(), bson.D{{Key: "jobId", Value: jobID}})
}

// running runs the store on the log until the test ends.
func (b bench) running(t testing.TB, log projections.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, log) }() // stopped by cancel
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A worker's documents are adopted whether they come before or after the projection's.
func TestWorkersDocumentsAreAdopted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for n := range uint64(53) {
		r := generation(n+1, "job", chapter(int(n)))
		if n%10 == 0 {
			r = status(n+1, "job", "running", fmt.Sprintf(`{"n":%d}`, n))
		}
		records = append(records, r)
	}
	var before, after []any
	for i, r := range records {
		if i%2 == 0 {
			before = append(before, written(t, r))
		} else {
			after = append(after, written(t, r))
		}
	}
	old := written(t, generation(1, "job", `{"type":"old","occurredAt":"2020-01-01T00:00:00.000Z"}`))
	b.insert(t, b.events(), before...)
	b.insert(t, b.events(), old)
	log := newFeed(records...)
	b.running(t, log)
	<-log.applied
	b.insert(t, b.events(), after...)
	wrote := time.Now()
	eventually(t, "each event once", func() bool { return b.shown(t, "job") == 54 })
	t.Logf("once after %s", time.Since(wrote))
	page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, 100)
	if err != nil || len(page) != len(records) {
		t.Fatalf("%d records, %v", len(page), err)
	}
	for i, r := range page {
		if string(r.Body) != string(records[i].Body) || r.EmittedAt != records[i].EmittedAt || r.Position != records[i].Position || !r.StoredAt.Equal(records[i].StoredAt) {
			t.Errorf("record %d is %+v", i, r)
		}
	}
	if n := b.count(t, b.events(), bson.D{{Key: "_id", Value: bson.D{{Key: "$type", Value: "objectId"}}}}); n != 54 {
		t.Errorf("%d documents of the worker's, want 54", n)
	}
	if found := audit(t, b.model(t, projections.History), false, messaging.Extent{Epoch: epoch, First: 1, Last: 53}, records); !found.Equal() || found.Adopted != 53 || found.Kept != 1 {
		t.Errorf("%+v", found)
	}
}

// The MongoDB driver for Node stores null for a member that is undefined, which the
// published JSON lacks.
func TestUndefinedMembersAreAdopted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := []messaging.Record{
		generation(1, "job", `{"type":"t","list":[null,{"n":1}]}`),
		status(2, "job", "running", `{"n":1}`),
	}
	stored := []messaging.Record{
		generation(1, "job", `{"type":"t","note":null,"list":[null,{"n":1,"note":null}]}`),
		status(2, "job", "running", `{"n":1,"note":null}`),
	}
	for _, r := range stored {
		b.insert(t, b.events(), written(t, r))
	}
	tail := func(each func(messaging.Record)) {
		for _, r := range records {
			each(r)
		}
	}
	if older, err := b.Older(t.Context(), "job", tail); err != nil || older != 0 {
		t.Errorf("readers are shown %d of the documents beside the log, %v", older, err)
	}
	if err := b.WriteHistory(t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	if err := b.NewAdopter().Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.shown(t, "job"); n != 2 {
		t.Errorf("%d documents of 2 events", n)
	}
	page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, 10)
	if err != nil || len(page) != 2 || string(page[0].Body) != string(records[0].Body) || string(page[1].Body) != string(records[1].Body) {
		t.Errorf("read %+v, %v", page, err)
	}
}

// Before a worker's documents are adopted, readers leave them out, whether the record
// is projected or in the log alone, and what is older than this service stays.
func TestReadersMeetNoEventTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for n := range uint64(30) {
		records = append(records, generation(n+1, "job", chapter(int(n))))
	}
	old := written(t, generation(1, "job", `{"type":"old","occurredAt":"2020-01-01T00:00:00.000Z"}`))
	b.insert(t, b.events(), old)
	for _, r := range records {
		b.insert(t, b.events(), written(t, r))
	}
	if err := b.WriteHistory(t.Context(), records[:20], false); err != nil {
		t.Fatal(err)
	}
	reader := b.Beside(func(_ context.Context, _ string, each func(messaging.Record)) error {
		for _, r := range records[15:] {
			each(r)
		}
		return nil
	})
	for _, limit := range []int{0, 1, 250} {
		older, err := readLegacy(t.Context(), reader, "job", limit)
		if err != nil || len(older) != 1 || !strings.Contains(string(older[0].Body), "old") {
			t.Errorf("limit %d: %d older events, %v", limit, len(older), err)
		}
	}
	// Half-way through an adoption a record has two documents.
	b.insert(t, b.events(), append(written(t, records[3]), bson.E{Key: "sequence", Value: int64(4)}, bson.E{Key: "epoch", Value: epoch}, bson.E{Key: "logStoredAt", Value: stored}))
	for _, limit := range []int{4, 10, 20} {
		page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, limit)
		if err != nil || len(page) != limit {
			t.Errorf("limit %d: %d records, %v", limit, len(page), err)
		}
		back, err := b.ReadBefore(t.Context(), "job", newestIn(epoch), limit)
		if err != nil || len(back) != limit {
			t.Errorf("limit %d backwards: %d records, %v", limit, len(back), err)
		}
	}
}

// Readers leave out what a worker writes while they read, however fast it writes.
func TestReadersWhileAWorkerWrites(t *testing.T) {
	t.Parallel()
	const events = 100
	b := setup(t)
	var records []messaging.Record
	for n := range uint64(events) {
		records = append(records, generation(n+1, "job", chapter(int(n))))
	}
	if err := b.WriteHistory(t.Context(), records, false); err != nil {
		t.Fatal(err)
	}
	reader := b.Beside(func(context.Context, string, func(messaging.Record)) error { return nil })
	var worker sync.WaitGroup
	wrote := make(chan struct{})
	worker.Go(func() { // ends after its documents
		defer close(wrote)
		for _, r := range records {
			if _, err := b.events().InsertOne(t.Context(), written(t, r)); err != nil {
				t.Error(err)
			}
		}
	})
	defer worker.Wait()
	for writes := true; writes; {
		select {
		case <-wrote:
			writes = false
		default:
		}
		older, err := readLegacy(t.Context(), reader, "job", 250)
		if err != nil || len(older) > 0 {
			t.Fatalf("%d events were shown a second time, %v", len(older), err)
		}
	}
}

// TestTheLogDoesNotAnswer: while the log does not say what the history lacks, nobody is
// shown what may be of an event that the log has. MongoDB is not blamed for it.
func TestTheLogDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := generation(1, "job", chapter(1))
	b.insert(t, b.events(), written(t, r))
	away := errors.New("away")
	reader := b.Beside(func(context.Context, string, func(messaging.Record)) error { return away })
	names, err := reader.FindLegacy(t.Context(), "job", 10)
	if !errors.Is(err, projections.ErrLog) || !errors.Is(err, away) || errors.Is(err, projections.ErrUnavailable) || len(names) > 0 {
		t.Errorf("%d documents, %v", len(names), err)
	}
}
