package admin_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// TestFigures checks that the answer has the metrics of an overview as they are gathered,
// and no others.
func TestFigures(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "realtime_fanout_refused_total"}, []string{"code"})
	connections := prometheus.NewGauge(prometheus.GaugeOpts{Name: "realtime_fanout_connections"})
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "realtime_other"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "realtime_ingest_receive_to_log_seconds", Buckets: []float64{0.1, 1}})
	registry.MustRegister(refused, connections, other, seconds)
	refused.WithLabelValues("IDLE_TIMEOUT").Add(3)
	connections.Set(7)
	for _, took := range []float64{0.05, 0.5, 5} {
		seconds.Observe(took)
	}
	mux := serve(t, logkit.Open(t, logkit.Conn(t)), admin.Deps{Gateway: "a", Metrics: registry, Version: "v1"})
	var first, second admin.Figures
	get(t, mux, "/figures", &first)
	get(t, mux, "/figures", &second)
	if first.Gateway != "a" || second.Gateway != "a" || !first.StartedAt.Equal(second.StartedAt) || first.Version != "v1" || !second.At.After(first.StartedAt) {
		t.Errorf("the process is %+v, then %+v", first, second)
	}
	values := make(map[string]admin.Figure)
	for _, figure := range first.Values {
		values[figure.Name] = figure
	}
	if got := values["realtime_fanout_refused_total"]; got.Value != 3 || got.Labels["code"] != "IDLE_TIMEOUT" {
		t.Errorf("the counter is %+v", got)
	}
	if len(values) != 2 || values["realtime_fanout_connections"].Value != 7 {
		t.Errorf("the values are %v", values)
	}
	if len(first.Histograms) != 1 {
		t.Fatalf("the histograms are %+v", first.Histograms)
	}
	if got := first.Histograms[0]; got.Count != 3 || got.Sum != 5.55 || len(got.UpTo) != 2 || got.UpTo[1] != 1 || got.Counts[0] != 1 || got.Counts[1] != 2 {
		t.Errorf("the histogram is %+v", got)
	}
}
