package ingest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// metrics are the counters that the package moves; what is state, and not an
// event, is read from its owner when it is scraped.
type metrics struct {
	received        prometheus.Counter
	receivedBytes   prometheus.Counter
	rejected        *prometheus.CounterVec
	appended        prometheus.Counter
	duplicates      prometheus.Counter
	abandoned       prometheus.Counter
	logFailures     prometheus.Counter
	receiptsSent    prometheus.Counter
	receiptsFailed  prometheus.Counter
	receiptsDropped prometheus.Counter
}

// newMetrics registers the metrics; it fails if they are registered already.
func newMetrics(registerer prometheus.Registerer, b *budget, c *connection) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "realtime_ingest_" + name, Help: help})
	}
	receipts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "realtime_ingest_receipts_total",
		Help: "Receipts by outcome: sent; failed, Redis did not take it; dropped, the queue was full.",
	}, []string{"outcome"})
	m := &metrics{
		received:      counter("received_events_total", "Messages read from Redis."),
		receivedBytes: counter("received_bytes_total", "Bytes of the messages read from Redis."),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_ingest_rejected_events_total",
			Help: "Events refused and dead-lettered, by reason.",
		}, []string{"reason"}),
		appended:        counter("appended_events_total", "Events stored in the log."),
		duplicates:      counter("duplicate_events_total", "Events that the log had already."),
		abandoned:       counter("abandoned_events_total", "Events read but not stored when the time to drain was over."),
		logFailures:     counter("log_failures_total", "Requests to the log that failed and are repeated."),
		receiptsSent:    receipts.WithLabelValues("sent"),
		receiptsFailed:  receipts.WithLabelValues("failed"),
		receiptsDropped: receipts.WithLabelValues("dropped"),
	}
	for _, reason := range []messaging.Reason{
		messaging.ReasonInvalidJSON, messaging.ReasonSchemaViolation, messaging.ReasonUnsupportedVersion,
		messaging.ReasonUnknownKind, messaging.ReasonTooLarge, messaging.ReasonIDConflict,
	} {
		m.rejected.WithLabelValues(string(reason)) // so that each is 0 and not absent
	}

	collectors := []prometheus.Collector{
		m.received, m.receivedBytes, m.rejected, m.appended, m.duplicates, m.abandoned, m.logFailures, receipts,
	}
	for _, state := range []struct {
		name, help string
		counter    bool
		value      func() float64
	}{
		{"pending_events", "Events read and not stored yet.", false, func() float64 {
			events, _ := b.pending()
			return float64(events)
		}},
		{"pending_bytes", "Bytes of the events read and not stored yet.", false, func() float64 {
			_, bytes := b.pending()
			return float64(bytes)
		}},
		{"backpressure_episodes_total", "Times that the reading from Redis waited for the log.", true, func() float64 {
			episodes, _ := b.pressure()
			return float64(episodes)
		}},
		{"backpressure_seconds_total", "Time that the reading from Redis has waited for the log.", true, func() float64 {
			_, waited := b.pressure()
			return waited.Seconds()
		}},
		{"subscribed", "1 while subscribed to Redis, else 0.", false, func() float64 {
			if c.err() != nil {
				return 0
			}
			return 1
		}},
		{"gaps_total", "Subscriptions after the first; before each, published events may not have been heard.", true, func() float64 {
			gaps, _ := c.outages()
			return float64(gaps)
		}},
		{"outage_seconds_total", "Time without a subscription since the first.", true, func() float64 {
			_, silent := c.outages()
			return silent.Seconds()
		}},
	} {
		if state.counter {
			collectors = append(collectors, prometheus.NewCounterFunc(
				prometheus.CounterOpts{Name: "realtime_ingest_" + state.name, Help: state.help}, state.value))
		} else {
			collectors = append(collectors, prometheus.NewGaugeFunc(
				prometheus.GaugeOpts{Name: "realtime_ingest_" + state.name, Help: state.help}, state.value))
		}
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
