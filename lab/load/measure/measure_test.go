package measure_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/load/measure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The percentiles are those of what was recorded, to three digits.
func TestDistribution(t *testing.T) {
	t.Parallel()
	l := measure.NewLatency()
	if d := l.Distribution(); d.Count != 0 || d.Curve != nil || d.Max != 0 {
		t.Errorf("of nothing: %+v", d)
	}
	for ms := 1; ms <= 1000; ms++ {
		l.Record(time.Duration(ms) * time.Millisecond)
	}
	d := l.Distribution()
	for name, pair := range map[string][2]float64{
		"p50": {d.P50, 500}, "p90": {d.P90, 900}, "p95": {d.P95, 950}, "p99": {d.P99, 990}, "max": {d.Max, 1000}, "min": {d.Min, 1}, "mean": {d.Mean, 500.5},
	} {
		if got, want := pair[0], pair[1]; got < want*0.999 || got > want*1.001 {
			t.Errorf("%s: got %g, want %g", name, got, want)
		}
	}
	last := 0.0
	for _, p := range d.Curve {
		if p.Ms < last {
			t.Errorf("the curve falls at %g", p.Percent)
		}
		last = p.Ms
	}
	l.Record(-time.Second)
	l.Record(100 * time.Hour)
	if d := l.Distribution(); d.Count != 1002 || d.Min != 0 || d.Max < measure.Ms(time.Hour) {
		t.Errorf("out of the range: %+v", d)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	type delivery struct {
		number   int
		sequence uint64
	}
	tests := []struct {
		name string
		got  []delivery
		want measure.Counts
	}{
		{"all, once, in order", []delivery{{0, 5}, {1, 6}, {2, 9}}, measure.Counts{Due: 3, Received: 3}},
		{"nothing", nil, measure.Counts{Due: 3, Lost: 3}},
		{"one lost", []delivery{{0, 5}, {2, 9}}, measure.Counts{Due: 3, Received: 2, Lost: 1}},
		{"one twice", []delivery{{0, 5}, {0, 5}, {1, 6}, {2, 9}}, measure.Counts{Due: 3, Received: 3, Duplicated: 1}},
		{"stored twice", []delivery{{0, 5}, {1, 6}, {2, 9}, {0, 10}}, measure.Counts{Due: 3, Received: 3, Duplicated: 1}},
		{"out of order", []delivery{{0, 5}, {2, 9}, {1, 6}}, measure.Counts{Due: 3, Received: 3, Reordered: 1}},
		{"stored in another order", []delivery{{1, 5}, {0, 6}, {2, 9}}, measure.Counts{Due: 3, Received: 3}},
		{"not published", []delivery{{0, 5}, {3, 6}, {-1, 7}}, measure.Counts{Due: 3, Received: 1, Lost: 2, Unknown: 2}},
	}
	var all measure.Counts
	for _, test := range tests {
		l := measure.NewLedger(3)
		for _, d := range test.got {
			l.Take(d.number, d.sequence)
		}
		if got := l.Counts(); got != test.want || got.Clean() != (test.want.Received == 3 && test.want.Duplicated+test.want.Reordered == 0) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
		all = all.Plus(l.Counts())
	}
	if want := (measure.Counts{Due: 24, Received: 18, Lost: 6, Duplicated: 2, Reordered: 1, Unknown: 2}); all != want {
		t.Errorf("together: got %+v, want %+v", all, want)
	}
}

// However long it lasts, a timeline stays short and loses nothing.
func TestTimeline(t *testing.T) {
	t.Parallel()
	began := time.Now()
	amounts, levels := measure.NewTimeline(began), measure.NewLevels(began)
	amounts.Add(began.Add(-time.Second), 1)
	for s := range 3600 {
		amounts.Add(began.Add(time.Duration(s)*time.Second), 10)
		levels.Add(began.Add(time.Duration(s)*time.Second), float64(s))
	}
	series := amounts.Series("a")
	sum := 0.0
	for _, value := range series.Values {
		sum += value * series.SlotMs / 1000
	}
	if len(series.Values) > 400 || sum < 35900 || sum > 36100 {
		t.Errorf("%d slots, %g in all", len(series.Values), sum)
	}
	if values := levels.Series("l").Values; len(values) > 400 || values[len(values)-1] != 3599 {
		t.Errorf("%d slots, the last %g", len(values), values[len(values)-1])
	}
}

// What the harness itself uses is seen, and said when it is too much.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := measure.Watch()
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	u := w.Stop()
	if u.CPUSeconds <= 0 || u.Share <= 0 || u.Cores < 1 || u.PeakBytes < 1<<20 {
		t.Errorf("got %+v", u)
	}
	if len(measure.Machine()["go"]) == 0 {
		t.Error("the machine has no words")
	}
}
