package projections_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// TestReadsMatchTheModel compares every read with the same read of a slice.
func TestReadsMatchTheModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all []messaging.Record
	for i := range 120 {
		r := generation(uint64(i+1), fmt.Sprint("job-", i%3), chapter(i))
		if i%10 == 9 {
			r.Epoch = "earlier"
		}
		all = append(all, r)
	}
	b.project(t, newFeed(all...))
	b.insert(t, b.events(), legacy("job-0", "2026-01-01T00:00:00.000Z", 1), legacy("job-1", "2027-01-01T00:00:00.000Z", 2))

	rapid.Check(t, func(t *rapid.T) {
		jobID := fmt.Sprint("job-", rapid.IntRange(0, 3).Draw(t, "job"))
		in := rapid.SampledFrom([]string{epoch, "earlier", "unknown"}).Draw(t, "epoch")
		sequence := rapid.OneOf(rapid.Uint64Range(0, 125), rapid.Just(uint64(math.MaxUint64))).Draw(t, "sequence")
		limit := rapid.IntRange(-1, 60).Draw(t, "limit")
		at := messaging.Position{Epoch: in, Sequence: sequence}
		matching := func(keep func(uint64) bool) []messaging.Record {
			return slices.DeleteFunc(slices.Clone(all), func(r messaging.Record) bool {
				return r.JobID != jobID || r.Epoch != in || !keep(r.Sequence)
			})
		}
		ctx := context.Background()
		after, err := b.ReadAfter(ctx, jobID, at, limit)
		sameRecords(t, "ReadAfter", after, err, oldest(matching(func(s uint64) bool { return s > sequence }), limit))
		before, err := b.ReadBefore(ctx, jobID, at, limit)
		want := newest(matching(func(s uint64) bool { return s < sequence }), limit)
		sameRecords(t, "ReadBefore", before, err, want)
		var located messaging.Span
		if len(want) > 0 {
			all := matching(func(s uint64) bool { return s < sequence })
			located = messaging.Span{
				First: want[0].Sequence, Last: want[len(want)-1].Sequence, Count: len(want), Older: len(want) < len(all),
			}
		}
		if span, err := b.Locate(ctx, jobID, at, limit); err != nil || span != located {
			t.Fatalf("Locate gives %+v, %v, want %+v", span, err, located)
		}
		last, err := b.ReadBefore(ctx, jobID, messaging.Position{Epoch: in, Sequence: math.MaxUint64}, limit)
		sameRecords(t, "newest", last, err, newest(matching(func(uint64) bool { return true }), limit))
	})
}

func oldest(records []messaging.Record, limit int) []messaging.Record {
	return records[:min(max(limit, 0), len(records))]
}

func newest(records []messaging.Record, limit int) []messaging.Record {
	return records[max(0, len(records)-max(limit, 0)):]
}

func sameRecords(t *rapid.T, read string, got []messaging.Record, err error, want []messaging.Record) {
	if err != nil {
		t.Fatalf("%s: %v", read, err)
	}
	same := slices.EqualFunc(got, want, func(a, b messaging.Record) bool {
		return a.Position == b.Position && a.JobID == b.JobID && a.Kind == b.Kind && a.EmittedAt == b.EmittedAt &&
			a.StoredAt.Equal(b.StoredAt) && string(a.Body) == string(b.Body)
	})
	if !same {
		t.Fatalf("%s gives %v, want %v", read, positions(got), positions(want))
	}
}

func positions(records []messaging.Record) []string {
	var texts []string
	for _, r := range records {
		texts = append(texts, r.JobID+"@"+r.Position.String())
	}
	return texts
}

// legacy returns a document as an older writer leaves it.
func legacy(jobID string, emittedAt any, n int) bson.D {
	return bson.D{
		{Key: "jobId", Value: jobID},
		{Key: "kind", Value: "domain"},
		{Key: "emittedAt", Value: emittedAt},
		{Key: "event", Value: bson.D{{Key: "type", Value: "t"}, {Key: "occurredAt", Value: "o"}, {Key: "n", Value: n}}},
		{Key: "createdAt", Value: stored},
		{Key: "updatedAt", Value: stored},
		{Key: "__v", Value: 0},
	}
}

func TestReadLegacy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.project(t, newFeed(generation(1, "j", chapter(1))))
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	b.insert(t, b.events(),
		legacy("j", messaging.FormatTime(day(3)), 3),
		legacy("j", day(2), 2),
		legacy("j", messaging.FormatTime(day(1)), 1),
		legacy("j", day(4), 4),
		legacy("j", messaging.FormatTime(day(5)), 5),
		legacy("j", messaging.FormatTime(day(5)), 6), // later by its _id
		legacy("other", messaging.FormatTime(day(5)), 7),
	)
	for limit, want := range map[int][]int{
		0: {1, 2, 3, 4, 5, 6}, 100: {1, 2, 3, 4, 5, 6}, 6: {1, 2, 3, 4, 5, 6}, 5: {2, 3, 4, 5, 6}, 3: {4, 5, 6}, 1: {6},
	} {
		records, err := readLegacy(t.Context(), b, "j", limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, r := range records {
			var n int
			if _, err := fmt.Sscanf(string(r.Body),
				`{"version":1,"kind":"domain","jobId":"j","event":{"type":"t","occurredAt":"o","n":%d}}`, &n); err != nil {
				t.Errorf("body %s: %v", r.Body, err)
			}
			if r.Sequence != 0 || r.Epoch != "" || r.ID != "" || r.Kind != messaging.KindDomain || r.EmittedAt != dayText(r.EmittedAt) {
				t.Errorf("record %+v", r)
			}
			got = append(got, n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d gives %v, want %v", limit, got, want)
		}
	}
}

// dayText returns the text again if it is in the layout of all times.
func dayText(text string) string {
	at, err := time.Parse(messaging.TimeLayout, text)
	if err != nil {
		return strconv.Quote(text)
	}
	return messaging.FormatTime(at)
}

func TestMalformedDocumentsOfOthersAreSkipped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	valid := legacy("j", "2026-01-01T00:00:00.000Z", 1)
	b.insert(t, b.events(),
		bson.D{{Key: "jobId", Value: "j"}},
		bson.D{{Key: "jobId", Value: "j"}, {Key: "kind", Value: 7}, {Key: "emittedAt", Value: "x"}},
		bson.D{{Key: "jobId", Value: "j"}, {Key: "kind", Value: "domain"}, {Key: "emittedAt", Value: 12}},
		bson.D{{Key: "jobId", Value: "j"}, {Key: "kind", Value: "domain"}, {Key: "emittedAt", Value: "x"}},
		bson.D{{Key: "jobId", Value: "j"}, {Key: "kind", Value: "job-status"}, {Key: "emittedAt", Value: "x"}},
		valid,
	)
	records, err := readLegacy(t.Context(), b, "j", 100)
	if err != nil || len(records) != 1 {
		t.Errorf("%d records, %v; want the one that is an event", len(records), err)
	}
	b.checkMetric(t, "realtime_projections_malformed_documents_total", "", 5)
}

func TestChangedDocumentIsNoRecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.project(t, newFeed(generation(1, "j", chapter(1)), generation(2, "j", chapter(2))))
	_, err := b.events().UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "Ep0ch:1"}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "event", Value: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadBefore(t.Context(), "j", newestIn(epoch), 10); !errors.Is(err, projections.ErrIncomplete) {
		t.Errorf("a page with a changed document: %v, want ErrIncomplete", err)
	}
}

func TestReadWhoseCallerLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.ReadBefore(ctx, "j", newestIn(epoch), 10); !errors.Is(err, context.Canceled) || errors.Is(err, projections.ErrUnavailable) {
		t.Errorf("a read that was given up: %v, want context.Canceled and no word on MongoDB", err)
	}
}
