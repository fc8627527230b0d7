package ingest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/measure"
	"github.com/letswriteabook/realtime/messaging"
)

// metrics are the counters that the package updates. A [state] is read from its owner at each
// scrape.
type metrics struct {
	received        prometheus.Counter
	receivedBytes   prometheus.Counter
	rejected        *prometheus.CounterVec
	appended        prometheus.Counter
	duplicates      prometheus.Counter
	abandoned       prometheus.Counter
	lettersDropped  prometheus.Counter
	gapMessages     prometheus.Counter
	logFailures     prometheus.Counter
	panics          prometheus.Counter
	receiptsSent    prometheus.Counter
	receiptsFailed  prometheus.Counter
	receiptsDropped prometheus.Counter
	httpRequests    *prometheus.CounterVec
	httpReceived    prometheus.Counter
	httpRefused     *prometheus.CounterVec
	// published and logged measure the first two stages of an event.
	published prometheus.Histogram
	logged    prometheus.Histogram

	// passedMessages counts the messages read from Redis and published there.
	passedMessages atomic.Uint64
}

// Statuses and problem codes of publishing over HTTP, which are initialized so that each
// counter is 0 and not absent.
var (
	httpStatuses     = []string{"200", "201", "207", "400", "408", "409", "413", "415", "503"}
	httpRefusedCodes = []string{codeKey, codeUnavailable}
)

// read counts a message received from Redis.
func (m *metrics) read(sizeBytes int) {
	m.received.Inc()
	m.receivedBytes.Add(float64(sizeBytes))
	m.passedMessages.Add(1)
}

// arrived measures how long an accepted event took to reach this process. An empty
// emittedAt means that its producer did not say when the event was published.
func (m *metrics) arrived(emittedAt string, now time.Time) {
	if emittedAt == "" {
		return // an error of time.Parse takes memory
	}
	if published, err := time.Parse(time.RFC3339Nano, emittedAt); err == nil {
		measure.Since(m.published, published, now)
	}
}

// sent counts messages published on the receipts channel.
func (m *metrics) sent(messages int) {
	m.receiptsSent.Add(float64(messages))
	m.passedMessages.Add(uint64(messages))
}

// stored counts an event that is in the log.
func (m *metrics) stored(duplicate bool) {
	if duplicate {
		m.duplicates.Inc()
	} else {
		m.appended.Inc()
	}
}

// newMetrics registers the metrics. It fails if they are registered already. If o is nil,
// the metrics of the subscription are omitted.
func newMetrics(registerer prometheus.Registerer, b *budget, l *letters, q *requests, o *outages) (*metrics, error) {
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
		gapMessages:     counter("gap_messages_total", "Messages published in Redis around gaps of the subscription and not read, on any channel: at most so many events were missed."),
		lettersDropped:  counter("dead_letters_dropped_total", "Dead letters dropped because the log did not store them and no more could wait."),
		panics:          counter("panics_total", "Events whose handling panicked, which are dropped. Anything but 0 is a defect."),
		logFailures:     counter("log_failures_total", "Requests to the log that failed and are repeated."),
		receiptsSent:    receipts.WithLabelValues("sent"),
		receiptsFailed:  receipts.WithLabelValues("failed"),
		receiptsDropped: receipts.WithLabelValues("dropped"),
		httpRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_ingest_http_requests_total",
			Help: "Requests to publish over HTTP, by the status of the answer.",
		}, []string{"status"}),
		published: prometheus.NewHistogram(measure.Latency("realtime_ingest_publish_to_receive_seconds",
			"From the emittedAt of an event to its arrival at this process. Events whose producer gives no emittedAt are not measured.")),
		logged: prometheus.NewHistogram(measure.Latency("realtime_ingest_receive_to_log_seconds",
			"From the arrival of an event at this process to the acknowledgement of the log.")),
		httpReceived: counter("http_received_events_total", "Events received over HTTP."),
		httpRefused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_ingest_http_refused_events_total",
			Help: "Events received over HTTP and refused in the answer, by code; unavailable: not stored in time.",
		}, []string{"code"}),
	}
	for _, reason := range []messaging.Reason{
		messaging.ReasonInvalidJSON, messaging.ReasonSchemaViolation, messaging.ReasonUnsupportedVersion,
		messaging.ReasonUnknownKind, messaging.ReasonTooLarge, messaging.ReasonIDConflict,
	} {
		m.rejected.WithLabelValues(string(reason)) // so that each is 0 and not absent
		m.httpRefused.WithLabelValues(string(reason))
	}
	for _, code := range httpRefusedCodes {
		m.httpRefused.WithLabelValues(code)
	}
	for _, status := range httpStatuses {
		m.httpRequests.WithLabelValues(status)
	}

	collectors := []prometheus.Collector{
		m.received, m.receivedBytes, m.rejected, m.appended, m.duplicates, m.abandoned, m.lettersDropped, m.gapMessages, m.logFailures, m.panics, receipts,
		m.httpRequests, m.httpReceived, m.httpRefused, m.published, m.logged,
	}
	for _, state := range append(intakeStates(b, l, q), subscriptionStates(o)...) {
		collectors = append(collectors, state.collector())
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// state is a metric that is read from its owner when it is scraped.
type state struct {
	name, help string
	// counter is true if the value only grows.
	counter bool
	value   func() float64
}

func (s state) collector() prometheus.Collector {
	name := "realtime_ingest_" + s.name
	if s.counter {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: s.help}, s.value)
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: s.help}, s.value)
}

// intakeStates returns the metrics of the events on their way to the log.
func intakeStates(b *budget, l *letters, q *requests) []state {
	return []state{
		{"pending_events", "Events taken in and not stored yet.", false, func() float64 {
			events, _ := b.pending()
			return float64(events)
		}},
		{"pending_bytes", "Bytes of the events taken in and not stored yet.", false, func() float64 {
			_, bytes := b.pending()
			return float64(bytes)
		}},
		{"pending_dead_letters", "Dead letters that wait to be stored.", false, func() float64 {
			count, _ := l.budget.pending()
			return float64(count)
		}},
		{"dead_letters_failing", "1 while dead letters cannot be stored.", false, func() float64 {
			if l.failures.ongoing() {
				return 1
			}
			return 0
		}},
		{"backpressure_episodes_total", "Times that the intake of events waited for the log.", true, func() float64 {
			episodes, _ := b.pressure()
			return float64(episodes)
		}},
		{"backpressure_seconds_total", "Time that the intake of events has waited for the log.", true, func() float64 {
			_, waited := b.pressure()
			return waited.Seconds()
		}},
		{"http_pending_requests", "Requests to publish over HTTP that are under way.", false, func() float64 {
			count, _ := q.under()
			return float64(count)
		}},
		{"http_pending_bytes", "Memory of the bodies of requests to publish that are under way.", false, func() float64 {
			_, bytes := q.under()
			return float64(bytes)
		}},
	}
}

// subscriptionStates returns the metrics of the subscription to Redis; nil without Redis.
func subscriptionStates(o *outages) []state {
	if o == nil {
		return nil
	}
	return []state{
		{"subscribed", "1 while subscribed to Redis, else 0.", false, func() float64 {
			if o.err() != nil {
				return 0
			}
			return 1
		}},
		{"gaps_total", "Subscriptions after the first; before each, published events may have been missed.", true, func() float64 {
			gaps, _ := o.totals()
			return float64(gaps)
		}},
		{"outage_seconds_total", "Time without a subscription since the first.", true, func() float64 {
			_, silent := o.totals()
			return silent.Seconds()
		}},
	}
}
