package eventstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// A canary passes a tail without followed jobs. A shard whose follower does not return stands
// still; one that hands on something, however slowly, does not.
func TestTailThatStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	follower := newListener()
	follower.block, follower.entered = make(chan struct{}), make(chan struct{}, 1)
	tail := eventstore.NewTail(b.log)
	if err := tail.Exercise(t.Context(), "before", patience); err != nil {
		t.Errorf("a tail that does not run: %v", err)
	}
	startTail(t, tail, follower)
	eventually(t, "the tail runs", func() bool { // and its follower does not return
		return errors.Is(tail.Exercise(t.Context(), "blocked", 100*time.Millisecond), eventstore.ErrReadersStalled)
	})
	if err := tail.Exercise(t.Context(), "still blocked", time.Second); !errors.Is(err, eventstore.ErrReadersStalled) {
		t.Errorf("a follower that does not return: %v", err)
	}
	close(follower.block)
	if err := tail.Exercise(t.Context(), "free", patience); err != nil {
		t.Errorf("a follower that returns: %v", err)
	}
	follow(t, tail, "job")
	b.add(t, record("job", "x"))
	for {
		if live := await(t, "a record", follower.live); live.JobID == "job" {
			break
		} else if live.JobID != "" || live.Sequence != 0 {
			t.Fatalf("got %+v", live)
		}
	}
}

// A consumer that hands nothing on is found while there is nothing to hand on, and while
// there is. One that is made again goes on.
func TestConsumerThatStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	looks := b.log.Consumption("p")
	stands := func() bool {
		time.Sleep(time.Millisecond) // so that a look is later than the one before
		return errors.Is(looks.Exercise(t.Context(), time.Nanosecond), eventstore.ErrReadersStalled)
	}
	eventually(t, "it is missing", stands)
	applied, stop := consume(t, b.log, "p")
	eventually(t, "it is there", func() bool { return !stands() })
	if err := b.operators().ForgetConsumer(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func() bool {
		_, err := b.log.ConsumerState(t.Context(), "p")
		return err == nil && !stands()
	})
	b.add(t, record("job", "x"))
	await(t, "a record", applied)
	eventually(t, "it has acknowledged the record", func() bool { return !stands() })
	stop()
	eventually(t, "nobody asks for its records", stands)
	b.add(t, record("job", "y"))
	if !stands() {
		t.Error("nobody asks for a record that is there")
	}
	if err := b.operators().PauseConsumer(t.Context(), "p", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if state, err := b.log.ConsumerState(t.Context(), "p"); err != nil || !state.LongPaused() {
		t.Errorf("paused: %+v, %v", state, err)
	}
	eventually(t, "it is paused", stands)
}

// A consumer that is paused for a short time, as a running operation does, does not stand,
// although records wait and nobody acknowledges others.
func TestConsumerThatAnOperationPauses(t *testing.T) {
	t.Parallel()
	log := &eventstore.Log{}
	info := jetstream.ConsumerInfo{NumPending: 2, NumWaiting: 1}
	if held := log.Consumption("p").Hold(&info); held == "" {
		t.Error("a consumer that is not paused hands on nothing, and does not stand")
	}
	info.Paused, info.PauseRemaining = true, time.Minute
	for _, inFlight := range []int{0, 1} {
		info.NumAckPending = inFlight
		if held := log.Consumption("p").Hold(&info); held != "" {
			t.Errorf("with %d records in flight it %s", inFlight, held)
		}
	}
	info.PauseRemaining = 24 * time.Hour
	if held := log.Consumption("p").Hold(&info); held == "" {
		t.Error("a consumer that is paused for long does not stand")
	}
}

// consume consumes until stop is called, or the test ends.
func consume(t *testing.T, log *eventstore.Log, name string) (applied <-chan messaging.Record, stop func()) {
	t.Helper()
	got := make(chan messaging.Record, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // stopped by cancel
		ended <- log.Consume(ctx, name, 10, func(_ context.Context, records []messaging.Record) error {
			for _, r := range records {
				got <- r
			}
			return nil
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := await(t, "the consumption to end", ended); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return got, stop
}
