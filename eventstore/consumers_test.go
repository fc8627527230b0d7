package eventstore_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

func TestScanHasTheBoundsItWasGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		b.add(t, record("a", "x"), record("b.*", "y"))
	}
	for _, test := range []struct{ first, last, from, to uint64 }{
		{1, 10, 1, 10}, {0, 3, 1, 3}, {4, 4, 4, 4}, {8, 99, 8, 10}, {11, 20, 0, 0}, {5, 4, 0, 0},
	} {
		var got []uint64
		err := b.operators().Scan(t.Context(), test.first, test.last, func(r messaging.Record) error {
			got = append(got, r.Sequence)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if test.to == 0 && len(got) > 0 || test.to > 0 && (len(got) != int(test.to-test.from+1) || got[0] != test.from) {
			t.Errorf("%d to %d gives %v", test.first, test.last, got)
		}
	}
	stop := errors.New("enough")
	if err := b.operators().Scan(t.Context(), 1, 10, func(messaging.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Scan: %v", err)
	}
}

func TestPausedConsumerGetsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := time.Now().Add(time.Hour)
	if err := b.operators().PauseConsumer(t.Context(), "p", until); !errors.Is(err, eventstore.ErrNoConsumer) {
		t.Errorf("paused what is not there: %v", err)
	}
	if err := errors.Join(b.operators().ResumeConsumer(t.Context(), "p"), b.operators().ForgetConsumer(t.Context(), "p")); err != nil {
		t.Error(err)
	}
	applied := make(chan uint64, 10)
	consume := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { // stopped by cancel
			ended <- b.log.Consume(ctx, "p", 10, func(_ context.Context, records []messaging.Record) error {
				for _, r := range records {
					applied <- r.Sequence
				}
				return nil
			})
		}()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	b.add(t, record("j", "one"))
	stop := consume()
	await(t, "the first record", applied)
	eventually(t, "it is acknowledged", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "p")
		return err == nil && state.Floor == 1 && state.Pending == 0 && state.OldestPending.IsZero()
	})
	if err := b.operators().PauseConsumer(t.Context(), "p", until); err != nil {
		t.Fatal(err)
	}
	b.add(t, record("j", "two"))
	stop()
	stop = consume() // a process that comes new does not end the pause
	eventually(t, "the second is pending", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "p")
		return err == nil && state.Paused && state.PausedFor > 0 && state.PausedUntil.Equal(until) && state.Floor == 1 && state.Pending == 1 && !state.OldestPending.IsZero()
	})
	select {
	case sequence := <-applied:
		t.Errorf("a paused consumer got %d", sequence)
	default:
	}
	if err := b.operators().ResumeConsumer(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if sequence := await(t, "the second record", applied); sequence != 2 {
		t.Errorf("got %d", sequence)
	}
	stop()
	if err := b.operators().ForgetConsumer(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	stop = consume()
	if sequence := await(t, "the first record again", applied); sequence != 1 {
		t.Errorf("got %d", sequence)
	}
	stop()
}

// However a question falls among the acknowledgements, its answer is of one moment:
// what is done and what is pending make up the whole of a log to which nothing is added.
func TestConsumerStateIsOfOneMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const records = 2000
	for n := range records {
		b.add(t, record("j", strconv.Itoa(n)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // stopped by cancel
		ended <- b.log.Consume(ctx, "p", 1, func(context.Context, []messaging.Record) error { return nil })
	}()
	eventually(t, "everything is acknowledged", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "p")
		if err == nil && state.Floor+state.Pending != records {
			t.Errorf("%d are done and %d pending, of %d", state.Floor, state.Pending, records)
		}
		return err == nil && state.Floor == records
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestBehindOfAConsumerThatNeverRan: all of the log is its lag, and records that were
// removed are not.
func TestBehindOfAConsumerThatNeverRan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	check := func(want uint64) {
		t.Helper()
		state, ran, err := b.log.Behind(t.Context(), "none")
		if err != nil || ran || state.Pending != want || state.OldestPending.IsZero() != (want == 0) {
			t.Errorf("state %+v, ran %v, %v; want %d pending", state, ran, err, want)
		}
	}
	check(0)
	b.add(t, record("a", "x"), record("b", "y"), record("a", "z"))
	check(3)
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	check(2)
}
