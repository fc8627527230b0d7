package eventstore_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// readBack returns the newest limit records of a job before a sequence, oldest
// first, as a reader gets them that locates them and reads on from there.
func readBack(ctx context.Context, log *eventstore.Log, jobID string, before uint64, limit int) ([]messaging.Record, error) {
	var records []messaging.Record
	for len(records) < limit {
		span, err := log.Locate(ctx, jobID, before, limit-len(records))
		if err != nil {
			return nil, err
		}
		var part []messaging.Record
		err = maintain.Of(log).ScanJob(ctx, jobID, span.First, span.Last, func(r messaging.Record) error {
			part = append(part, r)
			return nil
		})
		if err != nil {
			return nil, err
		}
		records = append(part, records...)
		if !span.Older {
			break
		}
		before = span.First
	}
	return records[max(0, len(records)-limit):], nil
}

// TestLocateIsExact: a span begins at the limit-th newest record, wherever the
// records of other jobs lie and however large the records are.
func TestLocateIsExact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []uint64
	for i := range 400 {
		r := record("job", "")
		r.Body = make([]byte, 1+(i%7)*3000)
		want = append(want, b.add(t, r)...)
		for range i % 5 {
			b.add(t, record("other", "x"))
		}
	}
	for _, limit := range []int{1, 2, 7, 100, 399, 400, 401, 10_000} {
		span, err := b.log.Locate(t.Context(), "job", math.MaxUint64, limit)
		first := want[max(0, len(want)-limit)]
		if err != nil || span != (messaging.Span{First: first, Last: want[len(want)-1], Count: min(limit, len(want)), Older: limit < len(want)}) {
			t.Errorf("newest %d: %+v, %v, want from %d", limit, span, err, first)
		}
		span, err = b.log.Locate(t.Context(), "job", want[300], limit)
		first = want[max(0, 300-limit)]
		if err != nil || span.First != first || span.Last < want[299] || span.Last >= want[300] || span.Older != (limit < 300) {
			t.Errorf("%d before %d: %+v, %v, want from %d", limit, want[300], span, err, first)
		}
	}
	for _, test := range []struct {
		job    string
		before uint64
		limit  int
	}{{"job", want[0], 5}, {"job", 1, 5}, {"job", 0, 5}, {"job", math.MaxUint64, 0}, {"nobody", math.MaxUint64, 5}} {
		if span, err := b.log.Locate(t.Context(), test.job, test.before, test.limit); err != nil || span != (messaging.Span{}) {
			t.Errorf("%+v: %+v, %v", test, span, err)
		}
	}
}

// TestNothingFollowsTheLastSequence: the largest number is a position like any
// other, and what follows it does not begin again at the start.
func TestNothingFollowsTheLastSequence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("job", "x"))
	for _, after := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxInt64} {
		if records, err := b.log.ReadAfter(t.Context(), "job", after, 10); err != nil || len(records) != 0 {
			t.Errorf("after %d: %d records, %v", after, len(records), err)
		}
	}
}

// BenchmarkLocate finds the newest records of a job among those of others.
func BenchmarkLocate(b *testing.B) {
	for _, test := range []struct{ size, limit int }{{300, 250}, {100_000, 250}, {100_000, 1}} {
		b.Run(fmt.Sprintf("body=%d/limit=%d", test.size, test.limit), func(b *testing.B) {
			bench := setup(b)
			for i := range 1000 {
				r := record("job", "")
				r.Body = make([]byte, test.size)
				bench.add(b, r)
				for range i % 3 {
					bench.add(b, record("other", "x"))
				}
			}
			b.ReportAllocs()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			for b.Loop() {
				if span, err := bench.log.Locate(ctx, "job", math.MaxUint64, test.limit); err != nil || span.First == 0 {
					b.Fatalf("%+v, %v", span, err)
				}
			}
		})
	}
}
