package guardrails_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/guardrails"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	type take struct {
		at   time.Duration
		ok   bool
		wait time.Duration
	}
	tests := []struct {
		name  string
		rate  guardrails.Rate
		takes []take
	}{
		{name: "off", takes: []take{{ok: true}, {ok: true}, {ok: true}}},
		{name: "burst, then one a second", rate: guardrails.Rate{PerSecond: 1, Burst: 2}, takes: []take{
			{ok: true},
			{ok: true},
			{wait: time.Second},
			{at: 400 * time.Millisecond, wait: 600 * time.Millisecond},
			{at: time.Second - 1, wait: 1},
			{at: time.Second, ok: true},
			{at: time.Second, wait: time.Second},
			{at: time.Minute, ok: true},
			{at: time.Minute, ok: true},
			{at: time.Minute, wait: time.Second},
		}},
		{name: "burst by default", rate: guardrails.Rate{PerSecond: 2.5}, takes: []take{
			{ok: true},
			{ok: true},
			{ok: true},
			{wait: 400 * time.Millisecond},
		}},
		{name: "less than one a second", rate: guardrails.Rate{PerSecond: 0.1}, takes: []take{
			{ok: true},
			{wait: 10 * time.Second},
			{at: 10 * time.Second, ok: true},
		}},
		{name: "a clock that goes back an hour", rate: guardrails.Rate{PerSecond: 1, Burst: 2}, takes: []take{
			{at: time.Hour, ok: true},
			{at: time.Hour, ok: true},
			{wait: time.Second},
			{at: time.Second, ok: true},
			{at: time.Second, wait: time.Second},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.rate.Validate(); err != nil {
				t.Fatal(err)
			}
			bucket := test.rate.Bucket()
			for i, want := range test.takes {
				wait, ok := bucket.Take(start.Add(want.at))
				if ok != want.ok || wait != want.wait {
					t.Fatalf("take %d at %s: %t, wait %s; want %t, %s", i, want.at, ok, wait, want.ok, want.wait)
				}
			}
		})
	}
}

// TestBucketHoldsItsRate takes at random times: no stretch of time may see more
// than a burst and what the rate gives in it, and the advised wait is exact.
func TestBucketHoldsItsRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := guardrails.Rate{
			PerSecond: float64(rapid.IntRange(1, 100_000).Draw(t, "perSecond")) / float64(rapid.SampledFrom([]int{1, 60}).Draw(t, "per")),
			Burst:     rapid.IntRange(1, 50).Draw(t, "burst"),
		}
		interval := time.Duration(math.Round(float64(time.Second) / rate.PerSecond))
		bucket := rate.Bucket()
		now := start
		var taken []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "takes") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*interval)).Draw(t, "pause")))
			wait, ok := bucket.Take(now)
			if ok {
				taken = append(taken, now)
				continue
			}
			early, due := bucket, bucket
			if _, ok := early.Take(now.Add(wait - 1)); ok {
				t.Fatalf("a wait of %s was advised, and less was enough", wait)
			}
			if _, ok := due.Take(now.Add(wait)); !ok {
				t.Fatalf("a wait of %s was advised, and was not enough", wait)
			}
		}
		for i, from := range taken {
			for n, to := range taken[i:] {
				if most := rate.Burst + int(to.Sub(from)/interval); n+1 > most {
					t.Fatalf("%d taken in %s, want at most %d", n+1, to.Sub(from), most)
				}
			}
		}
	})
}

func TestRateValidates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rate  guardrails.Rate
		names string // empty when the rate is valid
	}{
		{guardrails.Rate{}, ""},
		{guardrails.Rate{PerSecond: 1.0 / 3600}, ""},
		{guardrails.Rate{PerSecond: 1_000_000, Burst: 1_000_000}, ""},
		{guardrails.Rate{PerSecond: -1}, "rate"},
		{guardrails.Rate{PerSecond: 1.0 / 3601}, "rate"},
		{guardrails.Rate{PerSecond: 1_000_001}, "rate"},
		{guardrails.Rate{PerSecond: math.NaN()}, "rate"},
		{guardrails.Rate{PerSecond: math.Inf(1)}, "rate"},
		{guardrails.Rate{PerSecond: 1, Burst: -1}, "burst"},
		{guardrails.Rate{PerSecond: 1, Burst: 1_000_001}, "burst"},
		{guardrails.Rate{Burst: 5}, "burst"},
	}
	for _, test := range tests {
		err := test.rate.Validate()
		if test.names == "" && err != nil {
			t.Errorf("%+v: %v", test.rate, err)
		}
		if test.names != "" && (err == nil || !strings.HasPrefix(err.Error(), test.names+" is ")) {
			t.Errorf("%+v: error %v, want one about %s", test.rate, err, test.names)
		}
	}
}
