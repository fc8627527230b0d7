package replay_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
)

// spaced is a log whose records were taken at given offsets.
type spaced []time.Duration

func (s spaced) State(context.Context) (messaging.Extent, error) {
	return messaging.Extent{Epoch: "e", First: 1, Last: uint64(len(s))}, nil
}

func (s spaced) FirstSince(context.Context, time.Time) (uint64, error) { return 1, nil }

func (s spaced) Scan(_ context.Context, first, last uint64, each func(messaging.Record) error) error {
	for n := first; n <= last; n++ {
		record := messaging.Record{Position: messaging.Position{Epoch: "e", Sequence: n}, StoredAt: time.Unix(1000, 0).Add(s[n-1])}
		if err := each(record); err != nil {
			return err
		}
	}
	return nil
}

func (s spaced) ScanJob(ctx context.Context, _ string, first, last uint64, each func(messaging.Record) error) error {
	return s.Scan(ctx, first, last, each)
}

// timed is a sink that notes when it took each record, and when that was flushed.
type timed struct {
	began    time.Time
	taken    []time.Duration
	late     time.Duration
	lastTook time.Time
}

func (s *timed) Take(context.Context, messaging.Record) error {
	s.lastTook = time.Now()
	s.taken = append(s.taken, time.Since(s.began))
	return nil
}

func (s *timed) Flush(context.Context) error {
	s.late = max(s.late, time.Since(s.lastTook))
	return nil
}

func TestPaces(t *testing.T) {
	t.Parallel()
	log := spaced{0, time.Second, 3 * time.Second, 2 * time.Second, 63 * time.Second} // the clock went back once
	tests := map[string]struct {
		pace replay.Pace
		want []time.Duration
	}{
		"flat out":      {replay.Pace{}, []time.Duration{0, 0, 0, 0, 0}},
		"original":      {replay.Pace{Speed: 1}, []time.Duration{0, 1 * time.Second, 3 * time.Second, 3 * time.Second, 64 * time.Second}},
		"ten times":     {replay.Pace{Speed: 10}, []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond, 6400 * time.Millisecond}},
		"short pauses":  {replay.Pace{Speed: 1, LongestPause: 2 * time.Second}, []time.Duration{0, 1 * time.Second, 3 * time.Second, 3 * time.Second, 5 * time.Second}},
		"two a second":  {replay.Pace{Rate: 2}, []time.Duration{0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2 * time.Second}},
		"a slow second": {replay.Pace{Rate: 0.5}, []time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second, 8 * time.Second}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sink := &timed{began: time.Now()}
				outcome, err := replay.Run(t.Context(), log, sink, replay.Plan{Pace: test.pace})
				if err != nil {
					t.Fatal(err)
				}
				for i, at := range sink.taken {
					if at != test.want[i] {
						t.Errorf("event %d was due at %s, and came at %s", i, test.want[i], at)
					}
				}
				if sink.late != 0 {
					t.Errorf("an event waited %s for its flush", sink.late)
				}
				estimate, err := replay.Estimate(t.Context(), log, replay.Plan{Pace: test.pace})
				if err != nil || estimate.Seconds != outcome.Seconds {
					t.Errorf("estimated %.3f s, took %.3f s: %v", estimate.Seconds, outcome.Seconds, err)
				}
			})
		})
	}
}

// An interruption ends a pause.
func TestInterruptedPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sink := &timed{began: time.Now()}
		outcome, err := replay.Run(ctx, spaced{0, time.Second, time.Hour}, sink, replay.Plan{Pace: replay.Pace{Speed: 1}})
		if err == nil || len(sink.taken) != 2 || outcome.Next != 3 || outcome.Seconds != 10 {
			t.Errorf("took %d, outcome %+v, %v", len(sink.taken), outcome, err)
		}
	})
}

func TestPacesThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, pace := range []replay.Pace{
		{Speed: -1},
		{Rate: -1},
		{Speed: 1, Rate: 1},
		{LongestPause: time.Second},
		{Speed: 1, LongestPause: -1},
		{Speed: math.NaN()},
		{Rate: math.Inf(1)},
	} {
		if err := pace.Validate(); err == nil {
			t.Errorf("%+v is taken", pace)
		}
		if _, err := replay.Run(t.Context(), spaced{0}, &timed{}, replay.Plan{Pace: pace}); err == nil {
			t.Errorf("%+v runs", pace)
		}
	}
}
