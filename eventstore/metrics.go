package eventstore

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/measure"
	"github.com/letswriteabook/realtime/messaging"
)

// metrics are the package's figures.
type metrics struct {
	appended           prometheus.Counter
	duplicates         prometheus.Counter
	conflicts          prometheus.Counter
	lateRepeats        prometheus.Counter
	knownIDs           prometheus.Gauge
	retries            *prometheus.CounterVec
	appendSeconds      prometheus.Histogram
	batches            *prometheus.CounterVec
	batchRecords       prometheus.Histogram
	logRecords         prometheus.Gauge
	logBytes           prometheus.Gauge
	logMaxBytes        prometheus.Gauge
	logMaxAge          prometheus.Gauge
	deadLetters        *prometheus.CounterVec
	deadLettersRemoved prometheus.Counter
	full               prometheus.Gauge
	fullEpisodes       prometheus.Counter
	foreign            prometheus.Counter
	panics             prometheus.Counter
	followed           prometheus.Gauge
	received           prometheus.Counter
	dropped            prometheus.Counter
	disrupted          *prometheus.CounterVec
	epochs             prometheus.Counter
	recreated          *prometheus.CounterVec
	flaws              *prometheus.GaugeVec
	besideFlaws        *prometheus.GaugeVec
	unreadable         prometheus.Gauge
	scrubbedAt         prometheus.Gauge
}

// newMetrics registers the figures; a nil registerer leaves them unregistered.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "realtime_eventstore_" + name, Help: help})
	}
	labelled := func(name, label, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "realtime_eventstore_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "realtime_eventstore_" + name, Help: help})
	}
	m := &metrics{
		appended:    counter("appended_records_total", "Records stored."),
		duplicates:  counter("duplicate_records_total", "Appends that the log answered with a record it had already."),
		conflicts:   counter("conflicting_records_total", "Appends refused because the id stands for another record."),
		lateRepeats: counter("late_repeats_total", "Duplicates that came after the duplicate window, and were not stored again."),
		knownIDs:    gauge("known_ids", "Ids known beyond the duplicate window."),
		retries:     labelled("append_retries_total", "cause", "Attempts to append that failed and were made again."),
		appendSeconds: prometheus.NewHistogram(measure.Native(prometheus.HistogramOpts{
			Name:    "realtime_eventstore_append_seconds",
			Help:    "Time from the first attempt of an append to its acknowledgement.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		})),
		batchRecords: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "realtime_eventstore_append_batch_records",
			Help:    "Records in one acknowledged write to the log: 1 for one that was appended by itself.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		logRecords:         gauge("log_records", "Records that the log holds, as of its last answer."),
		logBytes:           gauge("log_bytes", "Size of the log, as of its last answer."),
		logMaxBytes:        gauge("log_max_bytes", "Size at which the log refuses records, as of its last answer; 0 is no limit."),
		logMaxAge:          gauge("log_max_age_seconds", "Age at which the log removes a record, as of its last answer; 0 is no limit."),
		batches:            labelled("append_batches_total", "outcome", "Batches of records by outcome: stored; refused, nothing was stored; unknown, no answer in time."),
		deadLetters:        labelled("dead_letters_total", "reason", "Events stored as dead letters."),
		deadLettersRemoved: counter("dead_letters_removed_total", "Dead letters removed because the letters of their reason took the most room in a stream that was nearly full."),
		full:               gauge("log_full", "1 while the log refuses records for want of room."),
		fullEpisodes:       counter("log_full_episodes_total", "Times the log became full."),
		panics:             counter("panics_total", "Live records whose handling panicked. Anything but 0 is a defect."),
		foreign:            counter("foreign_messages_total", "Messages met in the log that this service did not store."),
		followed:           gauge("tail_followed_jobs", "Jobs that this process follows live."),
		received:           counter("tail_records_total", "Records received live."),
		dropped:            counter("tail_dropped_records_total", "Records dropped because a queue of the tail was full."),
		disrupted:          labelled("tail_disruptions_total", "cause", "Times when any followed job may have missed records."),
		flaws: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_eventstore_stream_flaws",
			Help: "1 for each setting of the event stream with which the service cannot keep its promises.",
		}, []string{"flaw"}),
		besideFlaws: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_eventstore_other_stream_flaws",
			Help: "1 for each setting of a stream or bucket beside the event stream with which the service cannot keep its promises.",
		}, []string{"stream", "flaw"}),
		recreated:  labelled("streams_recreated_total", "stream", "Streams that were missing while this process ran, and that it re-created."),
		unreadable: gauge("unreadable_records", "Records that the log says it has, and that the last scrub could not read."),
		scrubbedAt: gauge("scrubbed_timestamp_seconds", "When the last complete scrub of the log ended, in seconds since 1970; 0 before there was one in this epoch."),
		epochs:     counter("epochs_begun_total", "Times the log began a new epoch while this process had it open."),
	}
	m.recreated.WithLabelValues(layout.EventStream)
	for stream := range streams.Beside {
		m.recreated.WithLabelValues(stream)
		for flaw := range besideTexts {
			m.besideFlaws.WithLabelValues(stream, string(flaw))
		}
	}
	for _, flaw := range Flaws() {
		m.flaws.WithLabelValues(string(flaw))
	}
	for _, outcome := range []batchOutcome{batchStored, batchRefused, batchUnknown} {
		m.batches.WithLabelValues(string(outcome))
	}
	for _, cause := range jet.Causes {
		m.retries.WithLabelValues(string(cause))
	}
	for _, reason := range []messaging.Reason{
		messaging.ReasonInvalidJSON, messaging.ReasonSchemaViolation, messaging.ReasonUnsupportedVersion,
		messaging.ReasonUnknownKind, messaging.ReasonTooLarge, messaging.ReasonIDConflict,
	} {
		m.deadLetters.WithLabelValues(string(reason))
	}
	for _, cause := range []messaging.Disruption{messaging.DisruptionReconnect, messaging.DisruptionOverflow, messaging.DisruptionEpoch} {
		m.disrupted.WithLabelValues(string(cause))
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{
		m.appended, m.duplicates, m.conflicts, m.lateRepeats, m.knownIDs, m.retries, m.appendSeconds, m.batches, m.deadLetters, m.deadLettersRemoved, m.full, m.fullEpisodes,
		m.foreign, m.panics, m.followed, m.received, m.dropped, m.disrupted, m.epochs, m.recreated, m.flaws, m.besideFlaws, m.unreadable, m.scrubbedAt,
		m.batchRecords, m.logRecords, m.logBytes, m.logMaxBytes, m.logMaxAge,
	} {
		errs = append(errs, registerer.Register(collector))
	}
	return m, errors.Join(errs...)
}

// size takes in how large the log is, and its limits.
func (m *metrics) size(info *jetstream.StreamInfo) {
	m.logRecords.Set(float64(info.State.Msgs))
	m.logBytes.Set(float64(info.State.Bytes))
	m.logMaxBytes.Set(float64(max(info.Config.MaxBytes, 0))) // the server's -1 is no limit
	m.logMaxAge.Set(info.Config.MaxAge.Seconds())
}
