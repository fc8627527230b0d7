package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/letswriteabook/realtime/internal/measure"
	"github.com/letswriteabook/realtime/messaging"
)

// hubMetrics are the hub's counters. No label has a value that a client sent.
type hubMetrics struct {
	catchUps  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	replayed  map[messaging.Source]prometheus.Counter
	gaps      *prometheus.CounterVec
	fallBacks prometheus.Counter
	repairs   *prometheus.CounterVec
	repaired  prometheus.Counter
	replays   *prometheus.CounterVec

	// logToDeliver measures the last stage of an event, and publishToDeliver all stages.
	logToDeliver     prometheus.Histogram
	publishToDeliver prometheus.Histogram

	undeliverable prometheus.Counter
	panics        prometheus.Counter

	historyReads *prometheus.CounterVec
	sharedReads  prometheus.Counter

	cachedPages, evictedPages prometheus.Counter
}

func newHubMetrics(registerer prometheus.Registerer, hub *Hub) *hubMetrics {
	factory := promauto.With(registerer)
	m := &hubMetrics{
		catchUps: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_catchups_total",
			Help: "Subscriptions that reached the head of their job, by the furthest source that was read.",
		}, []string{"source"}),
		duration: factory.NewHistogramVec(measure.Native(prometheus.HistogramOpts{
			Name:    "realtime_fanout_catchup_seconds",
			Help:    "From a subscribe to the head of its job, by the furthest source that was read.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}), []string{"source"}),
		replayed: make(map[messaging.Source]prometheus.Counter),
		logToDeliver: factory.NewHistogram(measure.Latency("realtime_fanout_log_to_deliver_seconds",
			"From the time at which the log took an event to its place in the outgoing queues of all live subscriptions of this process. Once for each event that has any.")),
		publishToDeliver: factory.NewHistogram(measure.Latency("realtime_fanout_publish_to_deliver_seconds",
			"From the emittedAt of an event, which the gateway that receives it stamps where its producer gives none, to its place in the outgoing queues of all live subscriptions of this process. Once for each event that has any.")),
		gaps: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_gaps_total",
			Help: "Gaps that were reported to clients, by reason.",
		}, []string{"reason"}),
		fallBacks: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_fallbacks_total",
			Help: "Live subscriptions that fell back to reading because their client was slow.",
		}),
		repairs: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_repairs_total",
			Help: "Rooms that missed live records and read them from the log, by what revealed the loss.",
		}, []string{"cause"}),
		repaired: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_repaired_records_total",
			Help: "Records that rooms read from the log because the live tail had missed them.",
		}),
		replays: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_replays_total",
			Help: "Events of operators' replays, by outcome: shown to a live subscription, or missed because the queue of its client was full.",
		}, []string{"outcome"}),
		historyReads: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_fanout_history_reads_total",
			Help: "Pages of history that were read, by the store that was asked.",
		}, []string{"source"}),
		sharedReads: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_history_shared_reads_total",
			Help: "Pages of history that were taken from a read that was already under way for another client.",
		}),
		cachedPages: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_cached_pages_total",
			Help: "Pages of history that were read from the cache, see HISTORY_CACHE_BYTES.",
		}),
		evictedPages: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_cache_evictions_total",
			Help: "Pages of history that were removed from the cache because it was full. Pages that were removed because nobody read them are not counted.",
		}),
		panics: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_panics_total",
			Help: "Goroutines of the hub that panicked. Anything but 0 is a defect.",
		}),
		undeliverable: factory.NewCounter(prometheus.CounterOpts{
			Name: "realtime_fanout_undeliverable_total",
			Help: "Readings of records that no client can be shown, such as those of a kind that the catalogue does not have.",
		}),
	}
	replayed := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "realtime_fanout_catchup_events_total",
		Help: "Events of first catch-ups, by the source that they were read from.",
	}, []string{"source"})
	for source := range distances {
		m.catchUps.WithLabelValues(string(source))
		m.duration.WithLabelValues(string(source))
		m.replayed[source] = replayed.WithLabelValues(string(source))
	}
	for _, outcome := range []string{"shown", "missed"} {
		m.replays.WithLabelValues(outcome)
	}
	for _, source := range []messaging.Source{messaging.SourceMongoDB, messaging.SourceLog} {
		m.historyReads.WithLabelValues(string(source))
	}
	for _, cause := range repairCauses {
		m.repairs.WithLabelValues(string(cause))
	}
	// Each begins at 0: an alert does not detect the first increase of a counter that was
	// absent before.
	for _, reason := range []messaging.GapReason{messaging.GapRetention, messaging.GapEpoch, messaging.GapErased} {
		m.gaps.WithLabelValues(string(reason))
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_rooms",
		Help: "Jobs that are followed.",
	}, func() float64 { return float64(hub.roomCount()) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_cache_bytes",
		Help: "Memory of the pages of history in the cache, which HISTORY_CACHE_BYTES bounds.",
	}, func() float64 { return float64(hub.history.cache.size()) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_fanout_subscriptions",
		Help: "Subscriptions of all clients.",
	}, func() float64 {
		total, _ := hub.Subscribers()
		return float64(total)
	})
	return m
}

// delivered measures an event that was handed to the live subscriptions of its job. A time
// that is not known is left out.
func (m *hubMetrics) delivered(ev *Event, now time.Time) {
	measure.Since(m.logToDeliver, ev.storedAt, now)
	measure.Since(m.publishToDeliver, ev.emittedAt, now)
}

func (h *Hub) roomCount() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.rooms)
}

// Subscribers returns the number of subscriptions, in all and per job.
func (h *Hub) Subscribers() (total int, perJob map[string]int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	perJob = make(map[string]int)
	for jobID, room := range h.rooms {
		if room.refs > 0 {
			perJob[jobID] = room.refs
			total += room.refs
		}
	}
	return total, perJob
}
