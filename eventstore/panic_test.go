package eventstore_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// panicking is a JetStream whose next publications panic.
type panicking struct {
	jetstream.JetStream
	left *atomic.Int32
}

func (p panicking) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if p.left.Add(-1) >= 0 {
		panic("for the test")
	}
	return p.JetStream.PublishMsg(ctx, msg, opts...)
}

// A save that panics loses its session's state, as one that is too large does, and the
// writers go on.
func TestPanicInASaveCostsItsSessionOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sessions := b.openSessions(t)
	var left atomic.Int32
	b.log.WrapJetStream(func(js jetstream.JetStream) jetstream.JetStream { return panicking{js, &left} })
	left.Store(1)
	runSessions(t, sessions)
	sessions.Save(sessionID(1), []byte("lost"))
	b.settled(t)
	sessions.Save(sessionID(2), []byte("kept"))
	b.settled(t)
	mustLoad(t, sessions, sessionID(1), "-")
	mustLoad(t, sessions, sessionID(2), "kept")
	if n := b.counter(t, "panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}

// alarmed is an audience that panics over one job.
type alarmed struct{ audience }

func (a alarmed) Followers(jobID string) int {
	if jobID == "bad" {
		panic("for the test")
	}
	return a.audience.Followers(jobID)
}

// A panic over one message to the audience costs that message alone.
func TestPanicInTheAudienceCostsItsMessageOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serveAudience(t, alarmed{audience{3, make(chan messaging.Replay, 10)}})
	if gateways, _, err := b.operators().AskFollowers(t.Context(), "bad"); err != nil || gateways != 0 {
		t.Errorf("%d gateways, %v", gateways, err)
	}
	if gateways, followers, err := b.operators().AskFollowers(t.Context(), "good"); err != nil || gateways != 1 || followers != 3 {
		t.Errorf("%d followers at %d gateways, %v", followers, gateways, err)
	}
	if n := b.counter(t, "panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}

// brittle is a follower that panics over the first record, and over the first disruption.
type brittle struct {
	*listener
	records, disruptions atomic.Int32
}

func (f *brittle) Live(live messaging.Live) {
	if f.records.Add(1) == 1 {
		panic("for the test")
	}
	f.listener.Live(live)
}

func (f *brittle) Disrupted(cause messaging.Disruption) {
	if f.disruptions.Add(1) == 1 {
		panic("for the test")
	}
	f.listener.Disrupted(cause)
}

// A tail goes on after panics of its follower: a record is lost, and its successor names
// it; later disruptions are reported.
func TestPanicsOfTheFollowerDoNotEndTheTail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	follower := &brittle{listener: newListener()}
	tail := runTail(t, b.log, follower)
	follow(t, tail, "job")
	lost := b.add(t, record("job", "a"))[0]
	b.add(t, record("job", "b"))
	if live := await(t, "a record", follower.live); live.Previous != lost {
		t.Errorf("the record after the lost one names %d, want %d", live.Previous, lost)
	}
	for range 2 {
		b.add(t, record("job", "c"), record("job", "d")) // so that the next stream's sequences are lower
		if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
			t.Fatal(err)
		}
		told := follower.disruptions.Load()
		open(t, b.conn).add(t, record("job", "e"))
		eventually(t, "the disruption", func() bool { return follower.disruptions.Load() > told })
	}
	if cause := await(t, "the disruption after the panic", follower.disrupted); cause != messaging.DisruptionEpoch {
		t.Errorf("the cause is %s", cause)
	}
	if n := b.counter(t, "panics_total"); n != 2 {
		t.Errorf("%v panics are counted", n)
	}
}

// A batch whose application panics is applied again, as one that failed.
func TestPanicInAProjectionRepeatsItsBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sequence := b.add(t, record("job", "a"))[0]
	ctx, cancel := context.WithCancel(t.Context())
	applied, done := make(chan messaging.Record, 10), make(chan error, 1)
	panics := 3
	go func() { // ends with ctx
		done <- b.log.Consume(ctx, "history", 16, func(_ context.Context, records []messaging.Record) error {
			if panics--; panics >= 0 {
				panic("for the test")
			}
			for _, r := range records {
				applied <- r
			}
			return nil
		})
	}()
	if r := await(t, "the record", applied); r.Sequence != sequence {
		t.Errorf("applied %d, want %d", r.Sequence, sequence)
	}
	cancel()
	if err := await(t, "the consumer to end", done); err != nil {
		t.Error(err)
	}
	if n := b.counter(t, "panics_total"); n != 3 {
		t.Errorf("%v panics are counted", n)
	}
}

// explosive is a log handler that panics over one message.
type explosive struct{ slog.Handler }

func (h explosive) Enabled(context.Context, slog.Level) bool { return true }

func (h explosive) Handle(ctx context.Context, line slog.Record) error {
	if strings.Contains(line.Message, "is not a record") {
		panic("for the test")
	}
	return h.Handler.Handle(ctx, line)
}

// A message over which the decoding panics is left out by consumers and reads, and the
// records beside it are not.
func TestPanicOverAMessageCostsItAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.add(t, record("job", "a"))[0]
	if _, err := b.js.Publish(t.Context(), "novel.events.job", []byte("what another program stored")); err != nil {
		t.Fatal(err)
	}
	last := b.add(t, record("job", "b"))[0]
	registry := prometheus.NewRegistry()
	log, err := eventstore.Open(t.Context(), b.conn, eventstore.DefaultConfig(), slog.New(explosive{slog.DiscardHandler}), registry)
	if err != nil {
		t.Fatal(err)
	}
	records, err := log.ReadAfter(t.Context(), "job", 0, 10)
	if err != nil || len(records) != 2 || records[0].Sequence != first || records[1].Sequence != last {
		t.Errorf("read %d records, %v", len(records), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	applied, done := make(chan uint64, 10), make(chan error, 1)
	go func() { // ends with ctx
		done <- log.Consume(ctx, "history", 16, func(_ context.Context, records []messaging.Record) error {
			for _, r := range records {
				applied <- r.Sequence
			}
			return nil
		})
	}()
	for _, want := range []uint64{first, last} {
		if got := await(t, "a record", applied); got != want {
			t.Errorf("record %d, want %d", got, want)
		}
	}
	cancel()
	if err := await(t, "the end", done); err != nil {
		t.Error(err)
	}
	if n := (&bundle{reg: registry}).counter(t, "panics_total"); n != 2 {
		t.Errorf("%v panics are counted, want one of the read and one of the consumer", n)
	}
}

// unsteady is a JetStream that panics when it is asked for the event stream, once.
type unsteady struct {
	jetstream.JetStream
	asked *atomic.Bool
}

func (u unsteady) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if name == "NOVEL_EVENTS" && u.asked.CompareAndSwap(false, true) {
		panic("for the test")
	}
	return u.JetStream.Stream(ctx, name)
}

// A pass of the scrub that panics gives its lease back, and renews it no more: another
// process can make a pass at once.
func TestPanicOfAScrubGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("job", "1"))
	var asked atomic.Bool
	b.log.WrapJetStream(func(js jetstream.JetStream) jetstream.JetStream { return unsteady{js, &asked} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the pass did not panic")
			}
		}()
		_ = eventstore.ScrubRenewing(ctx, b.log, time.Millisecond)
	}()
	other := open(t, b.conn)
	ended := make(chan error, 1)
	go func() { ended <- other.log.Scrub(ctx, true) }() // ends with ctx
	eventually(t, "a pass of another process", func() bool { return other.counter(t, "scrubbed_timestamp_seconds") > 0 })
	cancel()
	if err := await(t, "the scrub to end", ended); err != nil {
		t.Error(err)
	}
}
