package suite

import (
	"cmp"
	"slices"

	"github.com/letswriteabook/realtime/lab/load"
)

// worst are the figures of which the largest repetition counts: one bad recovery
// among good ones is a finding, not noise.
var worst = []string{"recoveryMs", "lostEvents"}

// merged makes one result of repetitions: the middle one by its latency, whose
// curves are shown, with the median of each figure, or the worst, and all of them
// beside it. One that did not pass is the result.
func merged(all []load.Result) load.Result {
	result := all[len(all)-1]
	if len(all) == 1 || result.Status != load.Passed {
		return result
	}
	result = slices.SortedFunc(slices.Values(all), func(a, b load.Result) int { return cmp.Compare(typical(a), typical(b)) })[len(all)/2]
	result.StartedAt, result.DurationMs = all[0].StartedAt, 0
	result.Samples = map[string][]float64{}
	for _, one := range all {
		result.DurationMs += one.DurationMs
		for name, value := range one.Figures {
			result.Samples[name] = append(result.Samples[name], value)
		}
	}
	result.Figures = map[string]float64{}
	for name, samples := range result.Samples {
		if slices.Contains(worst, name) {
			result.Figures[name] = slices.Max(samples)
		} else {
			result.Figures[name] = median(samples)
		}
	}
	return result
}

// typical is what repetitions are ordered by.
func typical(r load.Result) float64 {
	if r.Latency == nil {
		return r.DurationMs
	}
	return r.Latency.P95
}

// median returns the middle value; of an even number the mean of the two.
func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
