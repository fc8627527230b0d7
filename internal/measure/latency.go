package measure

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The native form of a histogram: each bucket is at most a tenth wider than the one
// before, and a histogram has at most maxNativeBuckets, for which the narrowest are merged;
// no more often than nativeReset it begins again instead.
const (
	nativeBucketFactor = 1.1
	maxNativeBuckets   = 100
	nativeReset        = time.Hour
)

// latencyBuckets are the bounds of the classic form, in seconds.
var latencyBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Latency returns the options of a histogram of durations in seconds, in the classic form
// and, for scrapes that ask for it, the native one.
func Latency(name, help string) prometheus.HistogramOpts {
	return Native(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets})
}

// Native adds the native form to the options of a histogram.
func Native(opts prometheus.HistogramOpts) prometheus.HistogramOpts {
	opts.NativeHistogramBucketFactor = nativeBucketFactor
	opts.NativeHistogramMaxBucketNumber = maxNativeBuckets
	opts.NativeHistogramMinResetDuration = nativeReset
	return opts
}

// Since observes how long ago a time was; a time in the future, as by another machine's
// clock, counts as now. The zero time is not observed.
func Since(histogram prometheus.Observer, then, now time.Time) {
	if !then.IsZero() {
		histogram.Observe(max(now.Sub(then), 0).Seconds())
	}
}
