package engineio

import (
	"errors"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters: open sessions are opened − closed. The one gauge, of queued
// bytes, reads the sessions, and is registered by [NewServer].
type metrics struct {
	opened   prometheus.Counter
	ended    *prometheus.CounterVec
	requests *prometheus.CounterVec
	upgrades prometheus.Counter
	received prometheus.Counter
	sent     prometheus.Counter
	writes   prometheus.Counter
	refused  prometheus.Counter
	dropped  prometheus.Counter
	panics   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "realtime_engineio_" + name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "realtime_engineio_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		opened:   counter("sessions_opened_total", "Sessions that were opened."),
		ended:    vector("sessions_closed_total", "Sessions that ended, by reason.", "reason"),
		requests: vector("requests_refused_total", "HTTP requests refused, by error code of the protocol.", "code"),
		upgrades: counter("upgrades_total", "Sessions that moved from polling to WebSocket."),
		received: counter("messages_received_total", "Messages read from clients."),
		sent:     counter("frames_sent_total", "Frames handed to connections and poll responses."),
		writes:   counter("writes_total", "Write calls on WebSocket connections."),
		refused:  counter("offers_refused_total", "Offers refused because the session's queue was over its budget."),
		dropped:  counter("frames_dropped_total", "Frames lost before a connection. Anything but 0 is a defect."),
		panics:   counter("panics_total", "Callbacks that panicked. Anything but 0 is a defect."),
	}
	for _, reason := range slices.Concat(reasons, []string{reasonForced}) { // a series that is missing cannot be alerted on
		m.ended.WithLabelValues(reason)
	}
	for code := range refuseProtocol.Code + 1 {
		m.requests.WithLabelValues(strconv.Itoa(code))
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{
		m.opened, m.ended, m.requests, m.upgrades, m.received, m.sent, m.writes, m.refused, m.dropped, m.panics,
	} {
		errs = append(errs, registerer.Register(collector))
	}
	return m, errors.Join(errs...)
}

// reasonForced counts the reasons of owners, so that the label's values stay few.
const reasonForced = "forced close"

// closed counts the end of a session.
func (m *metrics) closed(reason string) {
	if !slices.Contains(reasons, reason) {
		reason = reasonForced
	}
	m.ended.WithLabelValues(reason).Inc()
}

func (m *metrics) refuse(code int) {
	m.requests.WithLabelValues(strconv.Itoa(code)).Inc()
}
