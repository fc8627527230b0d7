package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// listener is a follower that passes on what it hears.
type listener struct {
	live      chan messaging.Live
	disrupted chan struct{}
	block     chan struct{} // When set, Live waits for it to be closed.
	entered   chan struct{} // Gets a value before Live waits.
}

func newListener() *listener {
	return &listener{live: make(chan messaging.Live, 10_000), disrupted: make(chan struct{}, 100)}
}

func (l *listener) Live(live messaging.Live) {
	if l.block != nil {
		signal(l.entered)
		<-l.block
	}
	l.live <- live
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *listener) Disrupted() { l.disrupted <- struct{}{} }

// runTail runs a tail until the test ends.
func runTail(t testing.TB, log *eventstore.Log, cfg eventstore.TailConfig, f eventstore.Follower) *eventstore.Tail {
	t.Helper()
	tail := eventstore.NewTail(log, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tail.Run(ctx, f) }()
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the tail to end", done); err != nil {
			t.Errorf("tail: %v", err)
		}
	})
	return tail
}

func follow(t testing.TB, tail *eventstore.Tail, jobs ...string) {
	t.Helper()
	for _, job := range jobs {
		if err := tail.Follow(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTailHearsFollowedJobsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heard := newListener()
	tail := runTail(t, b.log, eventstore.TailConfig{}, heard)

	b.add(t, record("job", "before"))
	follow(t, tail, "job", "job")
	want := withID("job", "an id", "first")
	want.TraceParent = "00-trace"
	sequence := b.add(t, want)[0]
	b.add(t, record("other", "x"), record("job.x", "x"), want)
	second := b.add(t, record("job", "second"))[0]

	got := await(t, "a record", heard.live)
	if got.Previous != 1 || got.Sequence != sequence || got.Epoch != b.log.Epoch() {
		t.Errorf("position %s after %d", got.Position, got.Previous)
	}
	if got.JobID != want.JobID || got.ID != want.ID || got.MessageID != want.MessageID || got.Kind != want.Kind ||
		got.EmittedAt != want.EmittedAt || got.TraceParent != want.TraceParent || string(got.Body) != string(want.Body) {
		t.Errorf("record = %+v", got.Record)
	}
	stored, err := b.log.ReadAfter(t.Context(), "job", sequence-1, 1)
	if err != nil || !stored[0].StoredAt.Equal(got.StoredAt) {
		t.Errorf("StoredAt %s, stored %v, %v", got.StoredAt, stored, err)
	}
	if got = await(t, "a record", heard.live); got.Sequence != second || got.Previous != sequence {
		t.Errorf("second record: %d after %d", got.Sequence, got.Previous)
	}

	tail.Unfollow("job")
	tail.Unfollow("job")
	tail.Unfollow("never followed")
	follow(t, tail, ".*>")
	b.add(t, record("job", "unheard"), record(".*>", "last"))
	if live := await(t, "a record", heard.live); live.JobID != ".*>" {
		t.Errorf("heard %+v", live)
	}
	if got := b.counter(t, "tail_followed_jobs"); got != 1 {
		t.Errorf("follows %v jobs", got)
	}
	if err := tail.Run(t.Context(), heard); !errors.Is(err, eventstore.ErrTailRunning) {
		t.Errorf("second run: %v", err)
	}
	for _, job := range []string{"", strings.Repeat("x", 10_000)} {
		if err := tail.Follow(t.Context(), job); !errors.Is(err, eventstore.ErrInvalidJobID) {
			t.Errorf("follow a jobId of %d bytes: %v", len(job), err)
		}
	}
	if err := b.log.Healthy(t.Context()); err != nil {
		t.Errorf("after a long jobId: %v", err)
	}
}

func TestTailKeepsOrderAndChainPerJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heard := newListener()
	tail := runTail(t, b.log, eventstore.TailConfig{Shards: 3}, heard)
	const jobs, each = 20, 50
	var running sync.WaitGroup
	for j := range jobs {
		job := fmt.Sprint("job-", j)
		follow(t, tail, job)
		running.Go(func() {
			for i := range each {
				if _, err := b.log.Append(t.Context(), record(job, fmt.Sprint(i))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	running.Wait()
	last := map[string]uint64{}
	for range jobs * each {
		live := await(t, "a record", heard.live)
		if live.Previous != last[live.JobID] || live.Sequence <= live.Previous {
			t.Fatalf("%s: %d after %d, last heard %d", live.JobID, live.Sequence, live.Previous, last[live.JobID])
		}
		last[live.JobID] = live.Sequence
	}
}

// Following again right after unfollowing loses nothing that shows in no mark.
func TestFollowUnfollowRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heard := newListener()
	tail := runTail(t, b.log, eventstore.TailConfig{}, heard)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				if err := tail.Follow(t.Context(), "job"); err != nil {
					t.Errorf("follow: %v", err)
				}
				tail.Unfollow("job")
			}
		})
	}
	running.Wait()
	follow(t, tail, "job")
	sequence := b.add(t, record("job", "x"))[0]
	if live := await(t, "a record", heard.live); live.Sequence != sequence {
		t.Errorf("heard %d", live.Sequence)
	}
	if got := b.counter(t, "tail_followed_jobs"); got != 1 {
		t.Errorf("follows %v jobs", got)
	}
}

// A full queue never holds up the connection, and every series of drops is told,
// also one that no later record reveals.
func TestTailOverflowIsDisruption(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heard := newListener()
	heard.block, heard.entered = make(chan struct{}), make(chan struct{}, 1)
	tail := runTail(t, b.log, eventstore.TailConfig{Shards: 1, QueueLength: 4}, heard)
	follow(t, tail, "job")
	b.add(t, record("job", "holds up the shard"))
	await(t, "the shard to be held up", heard.entered)
	for i := range 9 {
		b.add(t, record("job", fmt.Sprint(i)))
	}
	await(t, "the first series of drops", heard.disrupted)
	b.add(t, record("job", "dropped too"))
	await(t, "the second series of drops", heard.disrupted)
	close(heard.block)

	last := uint64(0)
	for range 4 {
		live := await(t, "a record", heard.live)
		if live.Previous != last {
			t.Errorf("%d after %d, last heard %d", live.Sequence, live.Previous, last)
		}
		last = live.Sequence
	}
	eventually(t, "room in the queue", func() bool { return b.counter(t, "tail_records_total") >= 5 })
	gap := b.add(t, record("job", "after the gap"))[0]
	for live := range heard.live {
		if live.Sequence == gap {
			if live.Previous != gap-1 || live.Previous == last {
				t.Errorf("previous = %d, last heard %d", live.Previous, last)
			}
			break
		}
		last = live.Sequence
	}
	eventually(t, "drops to be counted", func() bool { return b.counter(t, "tail_dropped_records_total") == 6 })
}

func TestTailReconnectIsDisruption(t *testing.T) {
	t.Parallel()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"}
	server := startServer(t, cfg)
	cfg.Listen = strings.TrimPrefix(server.ClientURL(), "nats://")
	b := open(t, connect(t, server.ClientURL()))
	heard := newListener()
	tail := runTail(t, b.log, eventstore.TailConfig{}, heard)
	follow(t, tail, "job")
	b.add(t, record("job", "a"))
	await(t, "a record", heard.live)

	closeServer(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := tail.Follow(ctx, "late"); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("follow without a server: %v", err)
	}
	startServer(t, cfg)
	await(t, "the disruption", heard.disrupted)
	// What was asked for meanwhile is followed by now, without another call.
	b.add(t, record("job", "b"), record("late", "c"))
	jobs := []string{await(t, "a record", heard.live).JobID, await(t, "a record", heard.live).JobID}
	if slices.Sort(jobs); !slices.Equal(jobs, []string{"job", "late"}) {
		t.Errorf("heard %v", jobs)
	}
}

func TestTailNoticesANewStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	heard := newListener()
	tail := runTail(t, b.log, eventstore.TailConfig{Shards: 1}, heard)
	follow(t, tail, "job")
	b.add(t, record("job", "a"), record("job", "b"))
	old := b.log.Epoch()
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	other := open(t, b.conn)
	other.add(t, record("job", "c"))
	await(t, "the disruption", heard.disrupted)
	if b.log.Epoch() == old || b.log.Epoch() != other.log.Epoch() {
		t.Errorf("epoch = %s, old %s, new %s", b.log.Epoch(), old, other.log.Epoch())
	}
}

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
	next := b.add(t, record("job", "later"))[0]
	if r := await(t, "a later record", applied); r.Sequence != next {
		t.Errorf("applied %d", r.Sequence)
	}
	eventually(t, "the lag to end", func() bool {
		lag, err := b.log.ConsumerLag(t.Context(), "history")
		return err == nil && lag == 0
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
	if lag, err := b.log.ConsumerLag(t.Context(), "heads"); err != nil || lag != 3 {
		t.Errorf("lag = %d, %v", lag, err)
	}
	cancel()
	if err := await(t, "the consumer to end", done); err != nil {
		t.Error(err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	started := time.Now()
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
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %s", took)
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
