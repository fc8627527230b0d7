package projections

import (
	"testing"
	"time"
)

// The span of a removal grows while removals are quick, shrinks while they are slow, and
// stays within its bounds, so that no command comes near its time limit.
func TestEraseSpanFollowsThePace(t *testing.T) {
	t.Parallel()
	// A server that takes so long for each document, beside a scan of the collection.
	for _, test := range []struct {
		document, scan time.Duration
		least, most    int64 // of the span in the end
	}{
		{10 * time.Microsecond, 0, maxEraseSpan, maxEraseSpan},
		{800 * time.Microsecond, 5 * time.Second, 500, 16_000},
		{10 * time.Millisecond, 0, minEraseSpan, 2_000},
		{time.Second, 0, minEraseSpan, minEraseSpan},
	} {
		span, longest := int64(eraseSpan), time.Duration(0)
		for step := range 50 {
			took := test.scan + time.Duration(span)*test.document
			if step > 10 {
				longest = max(longest, took)
			}
			span = nextSpan(span, took)
		}
		if span < test.least || span > test.most || longest > time.Minute {
			t.Errorf("at %s a document: span %d, want %d to %d; the longest command takes %s", test.document, span, test.least, test.most, longest)
		}
	}
}
