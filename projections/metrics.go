package projections

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/measure"
)

// What a reduced document still holds of its event, as the label of its counter.
const (
	keptRaw     = "raw"
	keptNothing = "nothing"
)

type metrics struct {
	up        *prometheus.GaugeVec
	applied   *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	batch     *prometheus.HistogramVec
	reduced   *prometheus.CounterVec
	malformed prometheus.Counter
	adopted   prometheus.Counter
	refused   prometheus.Counter
	erased    prometheus.Counter
	panics    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const projection = "projection"
	m := &metrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_projections_up",
			Help: "1 while MongoDB takes the projection's batches, 0 after it did not.",
		}, []string{projection}),
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_projections_applied_records_total",
			Help: "Records whose batch MongoDB has, repeats included.",
		}, []string{projection}),
		seconds: prometheus.NewHistogramVec(measure.Native(prometheus.HistogramOpts{
			Name:    "realtime_projections_apply_seconds",
			Help:    "Time to write one batch, failures included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}), []string{projection}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "realtime_projections_batch_records",
			Help:    "Records in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, []string{projection}),
		reduced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_projections_reduced_documents_total",
			Help: "Documents that could not be stored in full, by what was kept of the event.",
		}, []string{projection, "kept"}),
		malformed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_projections_malformed_documents_total",
			Help: "Documents of other writers that were skipped by a read, being no event.",
		}),
		adopted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_projections_adopted_documents_total",
			Help: "Documents that a worker had written and that were made those of their records.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_projections_adoptions_refused_total",
			Help: "Attempts to adopt a worker's document that MongoDB refused: the event stands twice.",
		}),
		erased: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_projections_erased_documents_total",
			Help: "Documents that a worker wrote of an erased event, and that were removed.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "realtime_projections_panics_total",
			Help: "Panics in the work on records and documents. Anything but 0 is a defect.",
		}),
	}
	for _, collector := range []prometheus.Collector{m.up, m.applied, m.seconds, m.batch, m.reduced, m.malformed, m.adopted, m.refused, m.erased, m.panics} {
		if err := reg.Register(collector); err != nil {
			return nil, fmt.Errorf("register the metrics of projections: %w", err)
		}
	}
	for _, name := range []string{History, JobHeads} {
		m.up.WithLabelValues(name).Set(1)
		m.applied.WithLabelValues(name)
		m.seconds.WithLabelValues(name)
		m.batch.WithLabelValues(name)
		m.reduced.WithLabelValues(name, keptRaw)
		m.reduced.WithLabelValues(name, keptNothing)
	}
	return m, nil
}
