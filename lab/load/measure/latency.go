package measure

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram, in microseconds. What is longer counts as the longest.
const (
	shortestMicros = 1
	longestMicros  = int64(time.Hour / time.Microsecond)
	digits         = 3
)

// Latency collects durations. Its methods may be called concurrently.
type Latency struct {
	mu        sync.Mutex // guards the histogram
	histogram *hdrhistogram.Histogram
}

// NewLatency returns an empty collection.
func NewLatency() *Latency {
	return &Latency{histogram: hdrhistogram.New(shortestMicros, longestMicros, digits)}
}

// Record adds one duration. A negative one counts as none.
func (l *Latency) Record(d time.Duration) {
	micros := min(max(d.Microseconds(), 0), longestMicros)
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.histogram.RecordValue(micros) // fails only beyond the range
}

// Distribution is what was collected, in milliseconds. The zero value is that of
// nothing.
type Distribution struct {
	Count int64   `json:"count"`
	Min   float64 `json:"minMs"`
	Mean  float64 `json:"meanMs"`
	P50   float64 `json:"p50Ms"`
	P90   float64 `json:"p90Ms"`
	P95   float64 `json:"p95Ms"`
	P99   float64 `json:"p99Ms"`
	Max   float64 `json:"maxMs"`
	// Curve has the percentiles for a plot, ascending.
	Curve []Percentile `json:"curve,omitempty"`
}

// Percentile says how long so many of a hundred took at most.
type Percentile struct {
	Percent float64 `json:"percent"`
	Ms      float64 `json:"ms"`
}

// curve are the percentiles of a plot: close together where few are left.
var curve = []float64{0, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.9, 99.95, 99.99, 100}

// Distribution returns what was collected so far.
func (l *Latency) Distribution() Distribution {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.histogram
	if h.TotalCount() == 0 {
		return Distribution{}
	}
	d := Distribution{
		Count: h.TotalCount(), Min: milliseconds(h.Min()), Mean: h.Mean() / 1000, Max: milliseconds(h.Max()),
		P50: milliseconds(h.ValueAtPercentile(50)), P90: milliseconds(h.ValueAtPercentile(90)),
		P95: milliseconds(h.ValueAtPercentile(95)), P99: milliseconds(h.ValueAtPercentile(99)),
	}
	for _, percent := range curve {
		d.Curve = append(d.Curve, Percentile{Percent: percent, Ms: milliseconds(h.ValueAtPercentile(percent))})
	}
	return d
}

func milliseconds(micros int64) float64 { return float64(micros) / 1000 }

// Ms is a duration in milliseconds, to the microsecond.
func Ms(d time.Duration) float64 { return milliseconds(d.Microseconds()) }
