package projections_test

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// checkMetric checks one counter or gauge; labels are as in the exposition.
func (b bench) checkMetric(t testing.TB, name, labels string, want float64) {
	t.Helper()
	if got, found := b.metric(t, name, labels); !found || got != want {
		t.Errorf("%s{%s} is %v, %t; want %v", name, labels, got, found, want)
	}
}

func (b bench) metric(t testing.TB, name, labels string) (value float64, found bool) {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var pairs []string
			for _, label := range metric.GetLabel() {
				pairs = append(pairs, label.GetName()+`="`+label.GetValue()+`"`)
			}
			if family.GetName() == name && strings.Join(pairs, ",") == labels {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

// The exposition is fixed: dashboards and alerts read it.
func TestExposition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	golden, err := os.Open("testdata/v1/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = golden.Close() }()
	if err := testutil.GatherAndCompare(b.registry, golden); err != nil {
		t.Error(err)
	}
}
