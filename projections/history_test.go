package projections_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

func TestHistoryDocuments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := generation(1, "book", `{"type":"a","occurredAt":"b"}`)
	one.ID, one.TraceParent = "evt-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.project(t, newFeed(one, status(2, "book", "running", `null`),
		record(3, "book", "illustration", `{"kind":"illustration","jobId":"book","picture":{"w":1.50},"page":3}`)))

	for id, want := range map[string]string{
		"Ep0ch:1": `{"_id":"Ep0ch:1","jobId":"book","kind":"generation","emittedAt":"2026-03-01T12:00:00.001Z",` +
			`"event":{"type":"a","occurredAt":"b"},"sequence":1,"epoch":"Ep0ch","eventId":"evt-1",` +
			`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",` +
			`"createdAt":{"$date":"2026-03-01T12:00:00.001Z"},"updatedAt":{"$date":"2026-03-01T12:00:00.001Z"}}`,
		"Ep0ch:2": `{"_id":"Ep0ch:2","jobId":"book","kind":"job-status","emittedAt":"2026-03-01T12:00:00.002Z",` +
			`"status":"running","snapshot":null,"sequence":2,"epoch":"Ep0ch",` +
			`"createdAt":{"$date":"2026-03-01T12:00:00.002Z"},"updatedAt":{"$date":"2026-03-01T12:00:00.002Z"}}`,
		"Ep0ch:3": `{"_id":"Ep0ch:3","jobId":"book","kind":"illustration","emittedAt":"2026-03-01T12:00:00.003Z",` +
			`"picture":{"w":1.5},"page":3,"raw":"{\"kind\":\"illustration\",\"jobId\":\"book\",\"picture\":{\"w\":1.50},\"page\":3}",` +
			`"sequence":3,"epoch":"Ep0ch",` +
			`"createdAt":{"$date":"2026-03-01T12:00:00.003Z"},"updatedAt":{"$date":"2026-03-01T12:00:00.003Z"}}`,
	} {
		doc, err := b.events().FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
		if err != nil {
			t.Fatal(err)
		}
		got, err := bson.MarshalExtJSON(doc, false, false)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v\nis   %s\nwant %s", id, err, got, want)
		}
	}
}

// TestReplayIsExact writes what JSON can say and BSON cannot, or FerretDB does
// not take, and compares what a client gets from MongoDB and from the log.
func TestReplayIsExact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for i, value := range []string{
		`1.0`, `-0`, `1e2`, `123456789012345678901234567890`, `1e999`, `"\u00e9\ud800"`, `"a\u0000b"`, `[[1],[2]]`,
		`{"$x":1}`, `{"a.b":1}`, `{"":1}`, `{"a":1,"a":2}`, `{"nul\u0000":1}`, ` { "a" : [ 1 , 2 ] } `,
		strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300), `"` + strings.Repeat("x", 900_000) + `"`,
	} {
		event := fmt.Sprintf(`{"type":"t","occurredAt":"o","v":%s}`, value)
		records = append(records, generation(uint64(2*i+1), "j", event), generation(uint64(2*i+2), "j", chapter(i)))
	}
	log := newFeed(records...)
	b.project(t, log)
	if n := log.failures.Load(); n != 0 {
		t.Errorf("%d batches were offered in vain", n)
	}

	got, err := b.ReadAfter(t.Context(), "j", messaging.Position{Epoch: epoch}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	comparePayloads(t, got, records)
	if lines := b.logs.String(); strings.Contains(lines, "xxxx") || strings.Contains(lines, "$x") {
		t.Errorf("the log quotes a payload:\n%.2000s", lines)
	}
}

func comparePayloads(t *testing.T, got, want []messaging.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	catalogue := messaging.DefaultCatalogue()
	for i := range want {
		mongo, err := catalogue.AppendPayload(nil, got[i])
		if err != nil {
			t.Fatal(err)
		}
		log, err := catalogue.AppendPayload(nil, want[i])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mongo, log) {
			t.Errorf("sequence %d: MongoDB gives\n%.300s\nthe log\n%.300s", want[i].Sequence, mongo, log)
		}
	}
}

func TestRefusedDocumentStandsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.project(t, newFeed(
		generation(1, "j", chapter(1)),
		generation(2, "j", `{"type":"t","occurredAt":"o","grid":[[1]]}`), // FerretDB takes no array in an array
		status(3, "j", "running", `{"grid":[[1]]}`),
		generation(4, "j", chapter(4)),
	))
	b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="raw",projection="history"`, 2)
	b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="raw",projection="job-heads"`, 1)
	b.checkMetric(t, "realtime_projections_up", `projection="history"`, 1)

	doc, err := b.events().FindOne(t.Context(), bson.D{{Key: "_id", Value: "Ep0ch:3"}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := doc.Lookup("status").StringValueOK(); status != "running" {
		t.Errorf("the refused document lost its status: %s", doc)
	}
	head, found, err := b.Head(t.Context(), "j")
	if err != nil || !found || string(head.Snapshot) != `{"grid":[[1]]}` {
		t.Errorf("head %s, %v, %v", head.Snapshot, found, err)
	}
}

func TestEventWithoutFormIsMarked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	broken := generation(2, "j", chapter(2))
	broken.Body = []byte("{\"kind\":\"generation\",\"event\":\"\xff\"}")
	b.project(t, newFeed(generation(1, "j", chapter(1)), broken, generation(3, "j", chapter(3))))

	after := func(sequence uint64) error {
		_, err := b.ReadAfter(t.Context(), "j", messaging.Position{Epoch: epoch, Sequence: sequence}, 10)
		return err
	}
	if err := after(1); !errors.Is(err, projections.ErrIncomplete) || errors.Is(err, projections.ErrUnavailable) {
		t.Errorf("a page over the marker: %v", err)
	}
	if err := after(2); err != nil {
		t.Errorf("a page past the marker: %v", err)
	}
	b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="nothing",projection="history"`, 1)
}

func TestRepeatedBatchIsHarmless(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var records []messaging.Record
	for i := range 300 {
		records = append(records, status(uint64(i+1), fmt.Sprint("job-", i%7), "running", chapter(i)))
	}
	for _, size := range []int{0, 7, 100} {
		log := newFeed(records...)
		log.maxSize = size
		b.project(t, log)
	}
	if n := b.count(t, b.events(), bson.D{}); n != len(records) {
		t.Errorf("%d documents, want %d", n, len(records))
	}
	if n := b.count(t, b.heads(), bson.D{}); n != 7 {
		t.Errorf("%d heads, want 7", n)
	}
	b.checkMetric(t, "realtime_projections_reduced_documents_total", `kept="raw",projection="history"`, 0)
}
