package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// knowIDs makes a log know the newest limit ids until the test ends.
func (b *bundle) knowIDs(t testing.TB, limit int) {
	t.Helper()
	known := b.log.KnowIDs(limit)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- known.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the reading of ids to end", done); !errors.Is(err, context.Canceled) {
			t.Errorf("the reading of ids ended with %v", err)
		}
	})
}

// shortWindow makes the server forget ids soon.
func shortWindow(c *eventstore.Config) { c.DuplicateWindow = time.Second }

// outlive waits until the server has forgotten every id stored so far: until it
// takes one again. Duplicates do not extend the window.
func (b *bundle) outlive(t testing.TB) {
	t.Helper()
	probe := record("probe", "text")
	b.add(t, probe)
	eventually(t, "the duplicate window to pass", func() bool {
		receipt, err := b.log.Append(t.Context(), probe)
		if err != nil {
			t.Fatal(err)
		}
		return !receipt.Duplicate
	})
}

func TestLateRepeatIsStoredOnce(t *testing.T) {
	t.Parallel()
	plain := setup(t, shortWindow) // Knows no ids: what is stored twice without.
	original := withID("job", "late", "text")
	first := plain.add(t, original)[0]
	b := open(t, plain.conn, shortWindow)
	b.knowIDs(t, 100)
	fresh := b.add(t, withID("job", "while reading", "text"))[0]
	plain.outlive(t)

	// Beyond the window only what has been read is known: both, and the probe.
	eventually(t, "the ids to be read", func() bool { return b.counter(t, "known_ids") == 3 })

	again := open(t, plain.conn, shortWindow) // A gateway that starts now.
	again.knowIDs(t, 100)
	for _, gateway := range []*bundle{b, again} {
		for _, c := range []struct {
			id   string
			want uint64
		}{{"late", first}, {"while reading", fresh}} {
			receipt, err := gateway.log.Append(t.Context(), withID("job", c.id, "text"))
			if err != nil || !receipt.Duplicate || receipt.Sequence != c.want || receipt.ID != c.id || receipt.JobID != "job" {
				t.Errorf("late repeat = %+v, %v; want a duplicate of %d", receipt, err, c.want)
			}
		}
		if _, err := gateway.log.Append(t.Context(), withID("job", "late", "other")); !errors.Is(err, eventstore.ErrIDConflict) {
			t.Errorf("another body: %v", err)
		}
		if late, conflicts := gateway.counter(t, "late_repeats_total"), gateway.counter(t, "conflicting_records_total"); late != 2 || conflicts != 1 {
			t.Errorf("%v late repeats and %v conflicts counted", late, conflicts)
		}
	}
	if records, err := b.log.ReadAfter(t.Context(), "job", 0, 10); err != nil || len(records) != 2 {
		t.Errorf("stored %d records, %v", len(records), err)
	}
	if receipt, err := plain.log.Append(t.Context(), original); err != nil || receipt.Duplicate {
		t.Errorf("a log that knows no ids: %+v, %v", receipt, err)
	}
}

// An id that a log of an earlier version holds, without its job, is still known,
// and for its own job only.
func TestLateRepeatOfAnIDWithoutItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t, shortWindow)
	msg := nats.NewMsg("novel.events.job")
	msg.Data = []byte("text")
	for name, value := range map[string]string{"Nats-Msg-Id": "i-old", "Novel-Id": "old", "Novel-Kind": "domain", "Novel-At": "2026-01-01T00:00:00Z"} {
		msg.Header.Set(name, value)
	}
	stored, err := b.js.PublishMsg(t.Context(), msg)
	if err != nil {
		t.Fatal(err)
	}
	b.knowIDs(t, 100)
	b.outliveKnown(t)
	repeat := withID("job", "old", "text")
	repeat.Body = msg.Data
	if receipt, err := b.log.Append(t.Context(), repeat); err != nil || !receipt.Duplicate || receipt.Sequence != stored.Sequence {
		t.Errorf("late repeat = %+v, %v; want a duplicate of %d", receipt, err, stored.Sequence)
	}
	if receipt, err := b.log.Append(t.Context(), withID("another", "old", "text")); err != nil || receipt.Duplicate {
		t.Errorf("the id in another job: %+v, %v", receipt, err)
	}
}

// What ingest derives from a payload means another event after a while.
func TestLateRepeatWithoutAnIDIsAnotherEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, shortWindow)
	b.knowIDs(t, 100)
	derived := withID("job", "h:0", "text")
	derived.ID = ""
	b.add(t, derived)
	b.outliveKnown(t)
	if receipt, err := b.log.Append(t.Context(), derived); err != nil || receipt.Duplicate {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// outliveKnown is outlive for a log that knows ids.
func (b *bundle) outliveKnown(t testing.TB) {
	t.Helper()
	plain := open(t, b.conn, shortWindow)
	plain.outlive(t)
}

func TestLateRepeatAfterPurgeIsNotSwallowed(t *testing.T) {
	t.Parallel()
	b := setup(t, shortWindow)
	b.knowIDs(t, 100)
	original := withID("job", "again", "text")
	first := b.add(t, original)[0]
	eventually(t, "the id to be known", func() bool { return b.counter(t, "known_ids") == 1 })
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	replay := b.add(t, original)[0] // Inside the window.
	if replay <= first {
		t.Fatalf("replay at %d after the original at %d", replay, first)
	}
	b.outliveKnown(t)
	eventually(t, "the replay and the probe to be read", func() bool { return b.counter(t, "known_ids") == 2 })
	if receipt, err := b.log.Append(t.Context(), original); err != nil || !receipt.Duplicate || receipt.Sequence != replay {
		t.Errorf("late repeat of the replay = %+v, %v; want %d", receipt, err, replay)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if receipt, err := b.log.Append(t.Context(), original); err != nil || receipt.Duplicate {
		t.Errorf("replay after a purge, outside the window = %+v, %v", receipt, err)
	}
}

// Only so many ids are known: older ones are stored again.
func TestKnownIDsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, shortWindow)
	const limit, events = 10, 25
	for i := range events {
		b.add(t, withID("job", fmt.Sprint(i), "text"))
	}
	b.knowIDs(t, limit)
	eventually(t, "the ids to be read", func() bool { return b.counter(t, "known_ids") == limit })
	for i := range events {
		b.add(t, withID("job", fmt.Sprint("more ", i), "text"))
	}
	eventually(t, "all to be read", func() bool {
		receipt, err := b.log.Append(t.Context(), withID("job", fmt.Sprint("more ", events-1), "text"))
		return err == nil && receipt.Duplicate && b.counter(t, "known_ids") == limit
	})
}

// A log that was deleted and re-created has other records at the same sequences.
func TestKnownIDsOfANewEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t, shortWindow)
	b.knowIDs(t, 100)
	b.add(t, withID("job", "a", "text"), withID("job", "b", "text"), withID("job", "c", "text"))
	eventually(t, "the ids to be known", func() bool { return b.counter(t, "known_ids") == 3 })
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	renewed := open(t, b.conn, shortWindow)
	if _, err := b.log.State(t.Context()); err != nil { // Learns of the epoch.
		t.Fatal(err)
	}
	if receipt, err := b.log.Append(t.Context(), withID("job", "c", "text")); err != nil || receipt.Duplicate {
		t.Fatalf("an id of the epoch before: %+v, %v", receipt, err)
	}
	eventually(t, "the ids of the new epoch", func() bool { return b.counter(t, "known_ids") == 1 })
	renewed.outlive(t)
	eventually(t, "the probe to be read", func() bool { return b.counter(t, "known_ids") == 2 })
	if receipt, err := b.log.Append(t.Context(), withID("job", "c", "text")); err != nil || !receipt.Duplicate {
		t.Errorf("a late repeat in the new epoch: %+v, %v", receipt, err)
	}
}

// The reading goes on after the server was away.
func TestKnownIDsAcrossRestart(t *testing.T) {
	t.Parallel()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Listen: testkit.FreeAddr(t)}
	server := startServer(t, cfg)
	b := open(t, connect(t, server.ClientURL()), shortWindow)
	b.knowIDs(t, 100)
	b.add(t, withID("job", "before", "text"))
	eventually(t, "the id to be known", func() bool { return b.counter(t, "known_ids") == 1 })
	closeServer(t, server)
	startServer(t, cfg)
	b.add(t, withID("job", "after", "text"))
	eventually(t, "the next id to be known", func() bool { return b.counter(t, "known_ids") == 2 })
}

// Where the newest records were purged, as many as are read, there is nothing to
// wait for, and appends do not.
func TestIDsOfPurgedRecordsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	plain := setup(t)
	for _, job := range []string{"kept", "purged", "purged", "purged"} {
		plain.add(t, record(job, "text"))
	}
	stream, err := plain.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("novel.events.purged")); err != nil {
		t.Fatal(err)
	}
	b := open(t, plain.conn)
	b.knowIDs(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if receipt, err := b.log.Append(ctx, withID("job", "an id", "text")); err != nil || receipt.Sequence != 5 {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// Ids count as loaded once all that the log had at the start have been read.
func TestIDsAreLoaded(t *testing.T) {
	t.Parallel()
	writer := setup(t)
	writer.add(t, record("job", "one"), record("job", "two"))
	b := open(t, writer.conn)
	known := b.log.KnowIDs(100)
	if known.Loaded() {
		t.Error("ids count as loaded before any was read")
	}
	if !b.log.Waits() || writer.log.Waits() {
		t.Errorf("without the ids the log waits: %t; without the need of them: %t", b.log.Waits(), writer.log.Waits())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- known.Run(ctx) }() // ends with ctx
	eventually(t, "the ids to be loaded", known.Loaded)
	if count := b.counter(t, "known_ids"); count != 2 {
		t.Errorf("%v ids are known, want 2", count)
	}
	cancel()
	if err := await(t, "the reading of ids to end", done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
