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

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// listener is a follower that passes on what it hears.
type listener struct {
	live      chan messaging.Live
	disrupted chan messaging.Disruption
	block     chan struct{} // When set, Live waits for it to be closed.
	entered   chan struct{} // Gets a value before Live waits.
}

func newListener() *listener {
	return &listener{live: make(chan messaging.Live, 10_000), disrupted: make(chan messaging.Disruption, 100)}
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

func (l *listener) Disrupted(cause messaging.Disruption) { l.disrupted <- cause }

// runTail runs a tail until the test ends.
func runTail(t testing.TB, log *eventstore.Log, f eventstore.Follower) *eventstore.Tail {
	t.Helper()
	tail := eventstore.NewTail(log)
	startTail(t, tail, f)
	return tail
}

func startTail(t testing.TB, tail *eventstore.Tail, f eventstore.Follower) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tail.Run(ctx, f) }()
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the tail to end", done); err != nil {
			t.Errorf("tail: %v", err)
		}
	})
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
	tail := runTail(t, b.log, heard)

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
	tail := runTail(t, b.log, heard)
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
	tail := runTail(t, b.log, heard)
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
	tail := eventstore.NewTail(b.log)
	eventstore.ShortenQueues(tail, 4)
	startTail(t, tail, heard)
	follow(t, tail, "job")
	b.add(t, record("job", "holds up the shard"))
	await(t, "the shard to be held up", heard.entered)
	for i := range 9 {
		b.add(t, record("job", fmt.Sprint(i)))
	}
	dropped := func(n float64) func() bool {
		return func() bool { return b.counter(t, "tail_dropped_records_total") == n }
	}
	eventually(t, "the drops to be counted", dropped(5)) // in one series or in several
	if cause := await(t, "word of them", heard.disrupted); cause != messaging.DisruptionOverflow {
		t.Errorf("the cause is %s", cause)
	}
	for len(heard.disrupted) > 0 {
		<-heard.disrupted
	}
	b.add(t, record("job", "dropped too"))
	eventually(t, "the last drop to be counted", dropped(6))
	await(t, "word of it", heard.disrupted)
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
	if !dropped(6)() {
		t.Error("more was dropped than the queue had no room for")
	}
}

func TestTailReconnectIsDisruption(t *testing.T) {
	t.Parallel()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Listen: testkit.FreeAddr(t)}
	server := startServer(t, cfg)
	b := open(t, connect(t, server.ClientURL()))
	heard := newListener()
	tail := runTail(t, b.log, heard)
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
	if cause := await(t, "the disruption", heard.disrupted); cause != messaging.DisruptionReconnect {
		t.Errorf("the cause is %s", cause)
	}
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
	tail := runTail(t, b.log, heard)
	follow(t, tail, "job")
	b.add(t, record("job", "a"), record("job", "b"))
	old := b.log.Epoch()
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	other := open(t, b.conn)
	other.add(t, record("job", "c"))
	if cause := await(t, "the disruption", heard.disrupted); cause != messaging.DisruptionEpoch {
		t.Errorf("the cause is %s", cause)
	}
	if b.log.Epoch() == old || b.log.Epoch() != other.log.Epoch() {
		t.Errorf("epoch = %s, old %s, new %s", b.log.Epoch(), old, other.log.Epoch())
	}
}
