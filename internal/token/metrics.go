package token

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts the results of verifications.
type metrics struct {
	accepted prometheus.Counter
	refused  *prometheus.CounterVec
}

// newMetrics registers the metrics; with a nil registerer they are not registered.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_token_accepted_tokens_total", Help: "Tokens found genuine.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_token_refused_tokens_total", Help: "Tokens refused, by what was wrong first.",
		}, []string{"reason"}),
	}
	for _, r := range refusals {
		m.refused.WithLabelValues(r.label)
	}
	return m, register(registerer, m.accepted, m.refused)
}

// fetchMetrics describes the fetches of an issuer's keys.
type fetchMetrics struct {
	fetches *prometheus.CounterVec
	keys    prometheus.Gauge
	fetched prometheus.Gauge
}

const (
	fetchSucceeded = "success"
	fetchFailed    = "failure"
)

// newFetchMetrics registers the metrics; with a nil registerer they are not registered.
func newFetchMetrics(registerer prometheus.Registerer) (*fetchMetrics, error) {
	m := &fetchMetrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_token_key_fetches_total", Help: "Attempts to fetch the keys of the issuer, by result.",
		}, []string{"result"}),
		keys: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "realtime_token_usable_keys", Help: "Keys of the issuer that tokens are verified with.",
		}),
		fetched: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "realtime_token_keys_fetched_timestamp_seconds", Help: "When the keys of the issuer were last fetched, 0 for never.",
		}),
	}
	for _, result := range []string{fetchSucceeded, fetchFailed} {
		m.fetches.WithLabelValues(result)
	}
	return m, register(registerer, m.fetches, m.keys, m.fetched)
}

// count counts the result of one fetch.
func (m *fetchMetrics) count(keys *keySet, err error) {
	if err != nil {
		m.fetches.WithLabelValues(fetchFailed).Inc()
		return
	}
	m.fetches.WithLabelValues(fetchSucceeded).Inc()
	m.keys.Set(float64(len(keys.keys)))
	m.fetched.SetToCurrentTime()
}

func register(registerer prometheus.Registerer, collectors ...prometheus.Collector) error {
	if registerer == nil {
		return nil
	}
	var errs []error
	for _, collector := range collectors {
		errs = append(errs, registerer.Register(collector))
	}
	return errors.Join(errs...)
}
