package faults

import (
	"slices"
	"sync"
	"time"
)

// samples are durations, such as the delivery times of events to clients of this process,
// each with its beginning: for an event, its publishing.
type samples struct {
	mu  sync.Mutex // guards all
	all []sample
}

type sample struct {
	published time.Time
	took      time.Duration
}

func (s *samples) add(published, received time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sample{published, received.Sub(published)})
}

// between returns, sorted, the durations of the events that were published in a window.
func (s *samples) between(from, to time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var took []time.Duration
	for _, one := range s.all {
		if !one.published.Before(from) && one.published.Before(to) {
			took = append(took, one.took)
		}
	}
	slices.Sort(took)
	return took
}

// quantile returns a quantile of a sorted list, 0 for an empty one.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// median returns the median, or the higher of the two middle values, without changing the
// list.
func median(all []time.Duration) time.Duration {
	return quantile(slices.Sorted(slices.Values(all)), 0.5)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
