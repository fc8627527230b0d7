package token_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/internal/token"
)

// The exposition after a known history is fixed: dashboards and alerts read it.
func TestMetricsExposition(t *testing.T) {
	t.Parallel()
	b := withIssuer(t, newPublisher(jwk("ed", edKey), jwk("weak", weakRSAKey())))
	b.requireAccepted(t, ed(t, goodClaims()))
	b.requireRefused(t, "", token.ErrMissing, "")
	b.requireRefused(t, "a.b.c", token.ErrInvalid, saysMalformed)
	b.requireRefused(t, ed(t, with(goodClaims(), object{"exp": 1})), token.ErrExpired, "")
	b.requireRefused(t, ed(t, with(goodClaims(), object{"aud": "other"})), token.ErrInvalid, saysAudience)
	golden, err := os.ReadFile(filepath.Join("testdata", "v1", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// When the keys were fetched is not known; that it is told is.
	names := []string{
		"realtime_token_accepted_tokens_total", "realtime_token_refused_tokens_total",
		"realtime_token_key_fetches_total", "realtime_token_usable_keys",
	}
	if err := testutil.GatherAndCompare(b.reg, bytes.NewReader(golden), names...); err != nil {
		t.Error(err)
	}
	families, err := b.reg.Gather()
	if err != nil || len(families) != len(names)+1 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	for _, family := range families {
		if family.GetName() == "realtime_token_keys_fetched_timestamp_seconds" && family.GetMetric()[0].GetGauge().GetValue() < 1e9 {
			t.Errorf("time of the fetch = %v", family)
		}
	}
	if problems, err := testutil.GatherAndLint(b.reg); err != nil || len(problems) != 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// With a shared secret there are no keys to tell about.
func TestMetricsOfASharedSecret(t *testing.T) {
	t.Parallel()
	families, err := withSecret(t).reg.Gather()
	if err != nil || len(families) != 2 {
		t.Errorf("%d families, %v", len(families), err)
	}
}
