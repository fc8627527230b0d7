package sessions

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// dropReason names why a session's state will never be stored: the label of a
// counter.
type dropReason string

const (
	// dropBound: more waited than the bound allows.
	dropBound dropReason = "bound"
	// dropInvalidID: no gateway makes such an id.
	dropInvalidID dropReason = "invalid-id"
	// dropStopped: there was no time left to store it.
	dropStopped dropReason = "stopped"
	// dropPanic: the attempt to store it panicked.
	dropPanic dropReason = "panic"
	// dropTooLarge: it is larger than is allowed here, or by the server.
	dropTooLarge dropReason = "too-large"
)

// sessionMetrics are the figures of the sessions.
type sessionMetrics struct {
	saved   prometheus.Counter
	dropped *prometheus.CounterVec
	retries *prometheus.CounterVec
}

// newSessionMetrics registers the figures; a nil registerer leaves them
// unregistered.
func newSessionMetrics(registerer prometheus.Registerer, waiting func() int) (*sessionMetrics, error) {
	m := &sessionMetrics{
		saved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_eventstore_session_saves_total", Help: "States of sessions, and removals, that were stored.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_eventstore_session_dropped_saves_total", Help: "States of sessions, and removals, that will never be stored.",
		}, []string{"reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_eventstore_session_save_retries_total", Help: "Attempts to store a state or a removal that failed and are made again.",
		}, []string{"cause"}),
	}
	for _, reason := range []dropReason{dropBound, dropInvalidID, dropPanic, dropStopped, dropTooLarge} {
		m.dropped.WithLabelValues(string(reason))
	}
	for _, cause := range jet.Causes {
		m.retries.WithLabelValues(string(cause))
	}
	if registerer == nil {
		return m, nil
	}
	queued := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_eventstore_session_waiting_saves", Help: "States of sessions, and removals, that are not stored yet.",
	}, func() float64 { return float64(waiting()) })
	var errs []error
	for _, collector := range []prometheus.Collector{m.saved, m.dropped, m.retries, queued} {
		errs = append(errs, registerer.Register(collector))
	}
	return m, errors.Join(errs...)
}
