package admin

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures are the metrics of this process that an overview shows. Counters start at 0 with
// the process: a rate is the difference between two answers with the same Gateway and
// StartedAt.
type Figures struct {
	// Gateway is the name of the process that answered. Behind a load balancer the next
	// answer may be another's.
	Gateway   string    `json:"gateway"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"startedAt"`
	At        time.Time `json:"at"`
	// Values are counters and gauges.
	Values     []Figure       `json:"values"`
	Histograms []Distribution `json:"histograms"`
}

// Figure is one series of a counter or a gauge.
type Figure struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
}

// Distribution is one series of a histogram. Counts[i] is how many values were UpTo[i] or
// less, and Count how many there were at all.
type Distribution struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Count  uint64            `json:"count"`
	Sum    float64           `json:"sum"`
	UpTo   []float64         `json:"upTo"`
	Counts []uint64          `json:"counts"`
}

// figureNames are the metrics of the answer. The values of their labels are from fixed
// sets, which bounds the answer.
var figureNames = map[string]bool{
	"realtime_app_canary_failing":                 true,
	"realtime_eventstore_append_retries_total":    true,
	"realtime_eventstore_appended_records_total":  true,
	"realtime_eventstore_duplicate_records_total": true,
	"realtime_eventstore_log_bytes":               true,
	"realtime_eventstore_log_full":                true,
	"realtime_eventstore_log_max_bytes":           true,
	"realtime_eventstore_log_records":             true,
	"realtime_eventstore_other_gateways":          true,
	"realtime_eventstore_stream_flaws":            true,
	"realtime_eventstore_unreadable_records":      true,
	"realtime_fanout_catchup_seconds":             true,
	"realtime_fanout_closed_total":                true,
	"realtime_fanout_connections":                 true,
	"realtime_fanout_delivered_total":             true,
	"realtime_fanout_evicted_total":               true,
	"realtime_fanout_fallbacks_total":             true,
	"realtime_fanout_gaps_total":                  true,
	"realtime_fanout_log_to_deliver_seconds":      true,
	"realtime_fanout_publish_to_deliver_seconds":  true,
	"realtime_fanout_refused_total":               true,
	"realtime_fanout_repairs_total":               true,
	"realtime_fanout_rooms":                       true,
	"realtime_fanout_stream_queued_bytes":         true,
	"realtime_fanout_subscriptions":               true,
	"realtime_fanout_throttled_total":             true,
	"realtime_ingest_backpressure_seconds_total":  true,
	"realtime_ingest_duplicate_events_total":      true,
	"realtime_ingest_gaps_total":                  true,
	"realtime_ingest_http_received_events_total":  true,
	"realtime_ingest_http_refused_events_total":   true,
	"realtime_ingest_pending_bytes":               true,
	"realtime_ingest_pending_events":              true,
	"realtime_ingest_publish_to_receive_seconds":  true,
	"realtime_ingest_receive_to_log_seconds":      true,
	"realtime_ingest_received_events_total":       true,
	"realtime_ingest_rejected_events_total":       true,
	"realtime_ingest_subscribed":                  true,
	"realtime_projections_applied_records_total":  true,
	"realtime_projections_lag_records":            true,
	"realtime_projections_lag_seconds":            true,
	"realtime_projections_up":                     true,
	"go_goroutines":                               true,
	"process_cpu_seconds_total":                   true,
	"process_resident_memory_bytes":               true,
}

func (a *API) getFigures(context.Context, *call) (any, error) {
	if a.Metrics == nil {
		return nil, refuse(http.StatusServiceUnavailable, "no-metrics", "this process has no metrics")
	}
	families, err := a.Metrics.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather the metrics: %w", err)
	}
	answer := Figures{
		Gateway: a.Gateway, Version: a.Version, StartedAt: a.began, At: time.Now().UTC(),
		Values: []Figure{}, Histograms: []Distribution{},
	}
	for _, family := range families {
		if !figureNames[family.GetName()] {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels prometheus.Labels
			for _, pair := range metric.GetLabel() {
				if labels == nil {
					labels = make(prometheus.Labels)
				}
				labels[pair.GetName()] = pair.GetValue()
			}
			if histogram := metric.GetHistogram(); histogram != nil {
				series := Distribution{
					Name: family.GetName(), Labels: labels, Count: histogram.GetSampleCount(), Sum: histogram.GetSampleSum(),
					UpTo: []float64{}, Counts: []uint64{},
				}
				for _, bucket := range histogram.GetBucket() {
					if upTo := bucket.GetUpperBound(); !math.IsInf(upTo, 1) { // Count has those of the last one, and JSON no infinity
						series.UpTo, series.Counts = append(series.UpTo, upTo), append(series.Counts, bucket.GetCumulativeCount())
					}
				}
				answer.Histograms = append(answer.Histograms, series)
				continue
			}
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue() // one of them is there, and the other is 0
			if !math.IsNaN(value) && !math.IsInf(value, 0) {
				answer.Values = append(answer.Values, Figure{Name: family.GetName(), Labels: labels, Value: value})
			}
		}
	}
	return answer, nil
}
