package eventstore_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/eventstore/shares"
	"github.com/letswriteabook/realtime/messaging"
)

// besides opens a log with every stream and bucket that there can be beside the events.
func besides(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, soon)
	if err := b.log.Vouch(t.Context()); err != nil { // which makes the identity
		t.Fatal(err)
	}
	if _, err := audit.Beside(b.log.Client()).Note(t.Context(), audit.Erasure{ID: "1", JobID: "job", Stage: audit.StageDone}); err != nil {
		t.Fatal(err)
	}
	if _, err := sessions.Open(t.Context(), b.log, sessions.DefaultConfig(), nil, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	if _, err := revocations.Open(t.Context(), b.log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	list, err := lease.New(b.conn, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, held, err := list.Begin(t.Context(), lease.Operation{Target: "test", Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := held.End(ctx, nil); err != nil {
		t.Fatal(err)
	}
	exchange, err := shares.Open(b.log, shares.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	sharing, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- exchange.Run(sharing, func() messaging.Share { return messaging.Share{Total: 1} }, func(messaging.Share) {})
	}() // ends with sharing
	eventually(t, "the bucket of shares", func() bool {
		_, err := b.js.Stream(t.Context(), "KV_NOVEL_GATEWAYS")
		return err == nil
	})
	stop()
	<-ended
	return b
}

// A log whose tokens can be revoked has no flaw while it is guarded, and none that the doctor
// names.
func TestRevocationsAreNoFlaw(t *testing.T) {
	t.Parallel()
	b := setup(t, soon)
	if _, err := revocations.Open(t.Context(), b.log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	guard(t, b.log)
	// The guard looks at the streams in one pass. After it has re-created another stream twice,
	// it has looked at the revocations.
	for range 2 {
		if err := b.js.DeleteStream(t.Context(), "NOVEL_DEADLETTER"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the dead letters", func() bool {
			_, err := b.js.Stream(t.Context(), "NOVEL_DEADLETTER")
			return err == nil
		})
	}
	if err := b.log.FlawedBeside(); err != nil {
		t.Error(err)
	}
	if flaws := b.counter(t, "other_stream_flaws"); flaws != 0 {
		t.Errorf("%v flaws in the metric", flaws)
	}
	if err := b.described(t, "NOVEL_REVOCATIONS").Flawed(); err != nil {
		t.Error(err)
	}
}

// editOf changes the configuration of any stream.
func (b *bundle) editOf(t *testing.T, name string, change func(*jetstream.StreamConfig)) error {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	_, err = b.js.UpdateStream(t.Context(), config)
	return err
}

// described returns a stream as the doctor sees it.
func (b *bundle) described(t *testing.T, name string) eventstore.Stream {
	t.Helper()
	described, err := eventstore.Describe(t.Context(), b.conn, "", name)
	if err != nil {
		t.Fatal(err)
	}
	return described
}

// direct reports whether a stream allows direct gets.
func (b *bundle) direct(t *testing.T, name string) bool {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config.AllowDirect
}

// Each edit of each stream and bucket beside the events is named, by the process that runs
// and to those who look, and a process that starts undoes what can be undone. A sealed
// one that is removed is re-created where the service owns it.
func TestEditsBesideTheEventsAreNamed(t *testing.T) {
	t.Parallel()
	b := besides(t)
	if len(eventstore.BesideStreams()) != 7 {
		t.Fatalf("the streams are %v", eventstore.BesideStreams())
	}
	for _, name := range eventstore.BesideStreams() {
		if err := b.described(t, name).Flawed(); err != nil {
			t.Fatalf("as it was made: %v", err)
		}
	}
	guard(t, b.log)
	names := func(name string, flaw eventstore.Flaw) {
		t.Helper()
		eventually(t, string(flaw)+" of "+name, func() bool {
			err := b.log.FlawedBeside()
			return err != nil && strings.Contains(err.Error(), name)
		})
		if b.counter(t, "other_stream_flaws") < 1 {
			t.Errorf("%s of %s is not in the metric", flaw, name)
		}
		if seen := b.described(t, name); !slices.Contains(seen.Flaws(0), flaw) || seen.Flawed() == nil {
			t.Errorf("%s is described with %v", name, seen.Flaws(0))
		}
	}
	for _, name := range eventstore.BesideStreams() {
		edited := 0
		for _, edit := range []struct {
			flaw   eventstore.Flaw
			change func(*jetstream.StreamConfig)
		}{
			{eventstore.FlawSubjects, func(c *jetstream.StreamConfig) { c.Subjects, c.RePublish = []string{"foo." + name}, nil }},
			{eventstore.FlawMaxMessages, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }},
			{eventstore.FlawPerSubject, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 7 }},
			{eventstore.FlawNoAck, func(c *jetstream.StreamConfig) { c.NoAck = true }},
			{eventstore.FlawNoDirect, func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		} {
			if edit.flaw == eventstore.FlawNoDirect && !b.direct(t, name) {
				continue
			}
			if err := b.editOf(t, name, edit.change); err != nil {
				t.Logf("the server refuses %s of %s: %v", edit.flaw, name, err)
				continue
			}
			edited++
			names(name, edit.flaw)
			open(t, b.conn, soon)
			eventually(t, name+" to be as it was", func() bool { return b.log.FlawedBeside() == nil })
		}
		if edited < 3 {
			t.Errorf("%s was edited in %d ways", name, edited)
		}
	}
	for _, name := range eventstore.BesideStreams() {
		if err := b.editOf(t, name, func(c *jetstream.StreamConfig) { c.Sealed = true }); err != nil {
			t.Errorf("seal %s: %v", name, err)
			continue
		}
		names(name, eventstore.FlawSealed)
		if err := b.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" to be forgotten or re-created", func() bool {
			err := b.log.FlawedBeside()
			return err == nil || !strings.Contains(err.Error(), name)
		})
	}
	eventually(t, "those that a log always has", func() bool {
		for _, name := range []string{"NOVEL_DEADLETTER", "NOVEL_IDENTITY", "KV_NOVEL_SESSIONS"} {
			if _, err := b.js.Stream(t.Context(), name); err != nil {
				return false
			}
		}
		return true
	})
}

// A flaw that no edit undoes does not keep a process from starting, nor from undoing the
// others of the stream; what is to be done about each is named.
func TestEditBesideOneThatCannotBeUndone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const name = "NOVEL_DEADLETTER"
	stream, err := b.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Storage, config.MaxMsgs, config.Discard = jetstream.MemoryStorage, 5, jetstream.DiscardNew
	if err := b.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	seen := b.described(t, name)
	want := []eventstore.Flaw{eventstore.FlawMaxMessages, eventstore.FlawDiscard, eventstore.FlawMemory}
	if got := seen.Flaws(0); !slices.Equal(got, want) {
		t.Errorf("flaws %v, want %v", got, want)
	}
	for _, part := range []string{"refuses new messages", "restart a gateway", "remove the stream"} {
		if text := seen.Flawed().Error(); !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
	open(t, b.conn)
	if got := b.described(t, name).Flaws(0); !slices.Equal(got, want[2:]) {
		t.Errorf("flaws %v after a start, want %v", got, want[2:])
	}
}

// What a flaw asks an operator to do is what has an effect: a process that starts undoes each
// flaw for which it says so, and leaves the others.
func TestRemedyIsWhatAStartDoes(t *testing.T) {
	t.Parallel()
	const name = "NOVEL_DEADLETTER"
	// The server itself changes what a sealed stream does when it is full.
	sealed := []eventstore.Flaw{eventstore.FlawSealed, eventstore.FlawMaxMessages, eventstore.FlawDiscard}
	for what, test := range map[string]struct {
		change   func(*jetstream.StreamConfig)
		before   []eventstore.Flaw
		after    []eventstore.Flaw
		restart  bool
		replaced bool
	}{
		"interest": {
			change: func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
			before: []eventstore.Flaw{eventstore.FlawRetention}, restart: true,
		},
		"work queue": {
			change: func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
			before: []eventstore.Flaw{eventstore.FlawRetention}, after: []eventstore.Flaw{eventstore.FlawRetention}, replaced: true,
		},
		"work queue with a limit": {
			change: func(c *jetstream.StreamConfig) { c.Retention, c.MaxMsgs = jetstream.WorkQueuePolicy, 5 },
			before: []eventstore.Flaw{eventstore.FlawMaxMessages, eventstore.FlawRetention}, after: []eventstore.Flaw{eventstore.FlawRetention}, restart: true, replaced: true,
		},
		"sealed with a limit": {
			change: func(c *jetstream.StreamConfig) { c.Sealed, c.MaxMsgs = true, 5 },
			before: sealed, after: sealed, replaced: true,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			stream, err := b.js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			config := stream.CachedInfo().Config
			if err := b.js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			test.change(&config)
			seal := config.Sealed
			config.Sealed = false // A stream is sealed by an edit alone.
			if _, err := b.js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if seal {
				if err := b.editOf(t, name, func(c *jetstream.StreamConfig) { c.Sealed = true }); err != nil {
					t.Fatal(err)
				}
			}
			seen := b.described(t, name)
			if got := seen.Flaws(0); !slices.Equal(got, test.before) {
				t.Errorf("flaws %v, want %v", got, test.before)
			}
			for part, want := range map[string]bool{"restart a gateway": test.restart, "remove the stream": test.replaced} {
				if text := seen.Flawed().Error(); strings.Contains(text, part) != want {
					t.Errorf("%q is in %q: want %t", part, text, want)
				}
			}
			open(t, b.conn)
			if got := b.described(t, name).Flaws(0); !slices.Equal(got, test.after) {
				t.Errorf("flaws %v after a start, want %v", got, test.after)
			}
		})
	}
}
