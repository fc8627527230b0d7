package publisher

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The transports of an event, as values of a label.
const (
	viaRedis = "redis"
	viaHTTP  = "http"
)

// metrics are the Prometheus metrics of a publisher.
type metrics struct {
	attempts *prometheus.CounterVec
	repeats  prometheus.Counter
	receipts *prometheus.CounterVec
	rejected *prometheus.CounterVec
	full     prometheus.Counter
	invalid  prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, size func() (events, bytes int)) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "realtime_publisher_" + name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "realtime_publisher_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "realtime_publisher_" + name, Help: help}, func() float64 { return float64(value()) })
	}
	m := &metrics{
		attempts: vector("attempts_total", "Attempts to publish an event, by way.", "via"),
		repeats:  counter("repeats_total", "Attempts that were not the first of their event."),
		receipts: vector("receipts_total", "Events that were confirmed, by way.", "via"),
		rejected: vector("rejected_total", "Events that will never be confirmed, by reason.", "reason"),
		full:     counter("full_total", "Times the outbox was found full."),
		invalid:  counter("invalid_receipts_total", "Messages on the receipts channel that are no receipt, or not signed with the secret."),
	}
	for _, via := range []string{viaRedis, viaHTTP} {
		m.attempts.WithLabelValues(via)
		m.receipts.WithLabelValues(via)
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{
		m.attempts, m.repeats, m.receipts, m.rejected, m.full, m.invalid,
		gauge("waiting_events", "Events that wait for their receipts.", func() int { events, _ := size(); return events }),
		gauge("waiting_bytes", "Bytes that they take.", func() int { _, bytes := size(); return bytes }),
	} {
		errs = append(errs, registerer.Register(collector))
	}
	return m, errors.Join(errs...)
}
