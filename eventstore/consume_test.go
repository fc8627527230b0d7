package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

func TestConsume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.log.ConsumerFloor(t.Context(), "history"); !errors.Is(err, eventstore.ErrNoConsumer) {
		t.Errorf("floor of nobody: %v", err)
	}
	const count = 100
	for i := range count {
		b.add(t, record(fmt.Sprint("job-", i%7), fmt.Sprint(i)))
	}
	// The log does not begin at 1, has holes, and ends in one.
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(11)); err != nil {
		t.Fatal(err)
	}
	for _, hole := range []uint64{50, 51, 100} {
		if err := stream.DeleteMsg(t.Context(), hole); err != nil {
			t.Fatal(err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	applied := make(chan messaging.Record, 10*count)
	failures := 3
	done := make(chan error, 1)
	go func() {
		done <- b.log.Consume(ctx, "history", 16, func(_ context.Context, records []messaging.Record) error {
			if len(records) == 0 || len(records) > 16 {
				t.Errorf("batch of %d", len(records))
			}
			if failures--; failures >= 0 {
				if fresh, err := b.log.ConsumerFresh(t.Context(), "history"); !fresh || err != nil {
					t.Errorf("not fresh although nothing was acknowledged: %v", err)
				}
				return errors.New("not now")
			}
			for _, r := range records {
				applied <- r
			}
			return nil
		})
	}()
	for want := uint64(11); want < 100; want++ {
		if want == 50 || want == 51 {
			continue
		}
		r := await(t, "a record", applied)
		if r.Sequence != want || r.Epoch != b.log.Epoch() || r.JobID != fmt.Sprint("job-", (want-1)%7) || r.StoredAt.IsZero() {
			t.Fatalf("applied %+v, want sequence %d", r, want)
		}
	}
	eventually(t, "the floor to reach the end", func() bool {
		floor, err := b.log.ConsumerFloor(t.Context(), "history")
		return err == nil && floor == 100
	})
	if fresh, err := b.log.ConsumerFresh(t.Context(), "history"); fresh || err != nil {
		t.Errorf("fresh although much was acknowledged: %v", err)
	}
	next := b.add(t, record("job", "later"))[0]
	if r := await(t, "a later record", applied); r.Sequence != next {
		t.Errorf("applied %d", r.Sequence)
	}
	eventually(t, "the lag to end", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "history")
		return err == nil && state.Pending == 0
	})
	cancel()
	if err := await(t, "the consumer to end", done); err != nil {
		t.Error(err)
	}
}

// What was not applied when a process stopped goes to the next one at once, and
// the floor stays below it.
func TestConsumeGivesBackAtTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("a", "1"), record("b", "2"), record("c", "3"))
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{}, 10)
	done := make(chan error, 1)
	go func() {
		done <- b.log.Consume(ctx, "heads", 10, func(context.Context, []messaging.Record) error {
			entered <- struct{}{}
			return errors.New("down")
		})
	}()
	await(t, "the first attempt", entered)
	if floor, err := b.log.ConsumerFloor(t.Context(), "heads"); err != nil || floor != 0 {
		t.Errorf("floor = %d, %v", floor, err)
	}
	if state, err := b.log.ConsumerState(t.Context(), "heads"); err != nil || state.Pending != 3 {
		t.Errorf("lag = %d, %v", state.Pending, err)
	}
	cancel()
	if err := await(t, "the consumer to end", done); err != nil {
		t.Error(err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	got := make(chan uint64, 10)
	go func() {
		done <- b.log.Consume(ctx, "heads", 10, func(_ context.Context, records []messaging.Record) error {
			for _, r := range records {
				got <- r.Sequence
			}
			return nil
		})
	}()
	seen := []uint64{await(t, "a record", got), await(t, "a record", got), await(t, "a record", got)}
	if slices.Sort(seen); !slices.Equal(seen, []uint64{1, 2, 3}) {
		t.Errorf("applied %v", seen)
	}
	cancel()
	await(t, "the consumer to end", done)
	if err := b.log.Consume(t.Context(), "a.b", 1, nil); err == nil {
		t.Error("an invalid name was accepted")
	}
	if err := b.log.Consume(t.Context(), "ok", 0, nil); err == nil {
		t.Error("a batch of 0 was accepted")
	}
}

// A consumer outlives the server it reads from, and misses nothing.
func TestConsumeAcrossRestart(t *testing.T) {
	t.Parallel()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Listen: testkit.FreeAddr(t)}
	server := startServer(t, cfg)
	b := open(t, connect(t, server.ClientURL()))

	ctx, cancel := context.WithCancel(t.Context())
	applied := make(chan uint64, 1000)
	done := make(chan error, 1)
	go func() {
		done <- b.log.Consume(ctx, "history", 10, func(_ context.Context, records []messaging.Record) error {
			for _, r := range records {
				applied <- r.Sequence
			}
			return nil
		})
	}()
	const count = 60
	seen := map[uint64]bool{}
	for i := range count {
		b.add(t, record("job", fmt.Sprint(i)))
		if i == count/2 {
			seen[await(t, "a record", applied)] = true
			closeServer(t, server)
			startServer(t, cfg)
		}
	}
	for len(seen) < count {
		seen[await(t, "a record", applied)] = true
	}
	eventually(t, "the floor to reach the end", func() bool {
		floor, err := b.log.ConsumerFloor(t.Context(), "history")
		return err == nil && floor == count
	})
	cancel()
	if err := await(t, "the consumer to end", done); err != nil {
		t.Error(err)
	}
}

// A batch that takes longer than a consumer may stay silent is not given to
// another process meanwhile.
func TestConsumeKeepsASlowBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for longer than the server does")
	}
	t.Parallel()
	b := setup(t)
	b.add(t, record("job", "slow"))
	ctx, cancel := context.WithCancel(t.Context())
	applied := make(chan uint64, 10)
	done := make(chan error, 2)
	for range 2 {
		go func() {
			done <- b.log.Consume(ctx, "history", 10, func(ctx context.Context, records []messaging.Record) error {
				applied <- records[0].Sequence
				if records[0].Sequence > 1 {
					return nil
				}
				timer := time.NewTimer(12 * time.Second) // Longer than the server waits for an acknowledgement.
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
				return nil
			})
		}()
	}
	await(t, "the slow batch", applied)
	eventually(t, "the slow batch to be acknowledged", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "history")
		return err == nil && state.Pending == 0
	})
	cancel()
	for range 2 {
		if err := await(t, "the consumers to end", done); err != nil {
			t.Error(err)
		}
	}
	if len(applied) != 0 {
		t.Error("the slow batch was applied twice")
	}
}
