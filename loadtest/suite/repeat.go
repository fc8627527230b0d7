package suite

import (
	"slices"

	"github.com/letswriteabook/realtime/loadtest"
)

// merged makes one result of repetitions: the last, with the median of each figure
// and all of them beside it.
func merged(all []loadtest.Result) loadtest.Result {
	result := all[len(all)-1]
	if len(all) == 1 || result.Status != loadtest.Passed {
		return result
	}
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
		result.Figures[name] = median(samples)
	}
	return result
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
