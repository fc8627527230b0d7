package ingest_test

import (
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/ingest"
)

func TestExposition(t *testing.T) {
	t.Parallel()
	g := setup(t).subscribed(t, ingest.DefaultConfig())
	golden, err := os.Open("testdata/metrics.txt")
	if err != nil {
		t.Fatalf("open golden file: %v", err)
	}
	defer func() { _ = golden.Close() }()
	if err := testutil.GatherAndCompare(g.registry, golden); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(g.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
