package suite

import (
	"slices"
	"testing"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
)

// Repetitions become one result: the middle one, with medians, the worst of what
// must never be bad, and every value beside them. One that failed is the result.
func TestMerged(t *testing.T) {
	t.Parallel()
	one := func(p95 float64) load.Result {
		return load.Result{
			Status: load.Passed, DurationMs: 10, Latency: &measure.Distribution{P95: p95}, Figures: map[string]float64{"p95Ms": p95, "otherMs": 100 - p95, "recoveryMs": 10 * p95, "lostEvents": p95 - 10},
		}
	}
	got := merged([]load.Result{one(30), one(10), one(25), one(90)})
	if got.Latency.P95 != 30 || got.Figures["p95Ms"] != 27.5 || got.Figures["otherMs"] != 72.5 || got.DurationMs != 40 {
		t.Errorf("got %+v, %+v", got, got.Latency)
	}
	if got.Figures["recoveryMs"] != 900 || got.Figures["lostEvents"] != 80 {
		t.Errorf("a bad recovery is hidden: %+v", got.Figures)
	}
	if want := []float64{30, 10, 25, 90}; !slices.Equal(got.Samples["p95Ms"], want) {
		t.Errorf("the samples are %v", got.Samples)
	}
	if got := merged([]load.Result{one(30)}); got.Samples != nil || got.Figures["p95Ms"] != 30 {
		t.Errorf("of one: %+v", got)
	}
	failed := one(20)
	failed.Status, failed.Reason = load.Failed, "why"
	if got := merged([]load.Result{one(30), failed}); got.Status != load.Failed || got.Reason != "why" || got.Figures["p95Ms"] != 20 {
		t.Errorf("one failed: %+v", got)
	}
}
