package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/messaging"
)

const eventsStream = "NOVEL_EVENTS"

func archiveOf(t testing.TB, b *bundle) *archive.Archive {
	t.Helper()
	streams, err := archive.New(b.conn, "")
	if err != nil {
		t.Fatal(err)
	}
	return streams
}

func TestRestoreBeginsANewEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []messaging.Record
	for i := range 300 {
		want = append(want, record(fmt.Sprint("job ", i%7), fmt.Sprint("n", i)))
	}
	b.add(t, want...)
	consumed := make(chan struct{}, 300)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // stopped by cancel
		ended <- b.log.Consume(ctx, "history", 100, func(_ context.Context, records []messaging.Record) error {
			for range records {
				consumed <- struct{}{}
			}
			return nil
		})
	}()
	for range 300 {
		await(t, "the consumer", consumed)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "all is acknowledged", func() bool {
		floor, err := b.log.ConsumerFloor(t.Context(), "history")
		return err == nil && floor == 300
	})

	streams := archiveOf(t, b)
	var data bytes.Buffer
	var told int64
	snapshot, err := streams.Save(t.Context(), eventsStream, &data, func(n int64) { told = n })
	if err != nil || told != int64(data.Len()) || told == 0 {
		t.Fatalf("saved %d bytes, told of %d: %v", data.Len(), told, err)
	}
	name, before, state, err := snapshot.Stream()
	if err != nil || name != eventsStream || before != b.log.Epoch() || state.Messages != 300 || state.Last != 300 {
		t.Errorf("the snapshot is of %s, epoch %s, %+v: %v", name, before, state, err)
	}

	if _, err := restore(t, streams, snapshot, data.Bytes()); !errors.Is(err, archive.ErrStreamExists) {
		t.Errorf("restored over a stream: %v", err)
	}
	for range 2 { // the second time with a stream that was restored before
		if err := streams.Remove(t.Context(), eventsStream); err != nil {
			t.Fatal(err)
		}
		epoch, err := restore(t, streams, snapshot, data.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		restored, err := b.log.State(t.Context())
		if err != nil || restored.Epoch != epoch || epoch == before || restored.Last != 300 {
			t.Errorf("restored as %s with %+v, was %s: %v", epoch, restored, before, err)
		}
		if _, err := b.log.ConsumerFloor(t.Context(), "history"); !errors.Is(err, eventstore.ErrNoConsumer) {
			t.Errorf("the consumer is there: %v", err)
		}
		// A gateway that starts keeps that epoch, and the limits.
		if again := open(t, b.conn); again.log.Epoch() != epoch {
			t.Errorf("a gateway has epoch %s, want %s", again.log.Epoch(), epoch)
		}
	}
	var got []messaging.Record
	if err := b.operators().Scan(t.Context(), 1, 300, func(r messaging.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a, b messaging.Record) bool {
		return a.JobID == b.JobID && a.ID == b.ID && bytes.Equal(a.Body, b.Body)
	}) {
		t.Errorf("%d records came back otherwise than the %d that were there", len(got), len(want))
	}
}

// restore makes the stream of a snapshot from its data, and returns its epoch.
func restore(t *testing.T, streams *archive.Archive, snapshot archive.Snapshot, data []byte) (string, error) {
	t.Helper()
	if err := streams.RestoreMarked(t.Context(), snapshot, bytes.NewReader(data), nil); err != nil {
		return "", err
	}
	return streams.Complete(t.Context(), snapshot, archive.NewEpoch())
}

// A restore that ends early leaves nothing, and can be repeated.
func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("j", "x"))
	streams := archiveOf(t, b)
	var data bytes.Buffer
	snapshot, err := streams.Save(t.Context(), eventsStream, &data, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := data.Len()
	for _, size := range []int{0, whole / 2} {
		if err := streams.Remove(t.Context(), eventsStream); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, streams, snapshot, data.Bytes()[:size]); err == nil {
			t.Errorf("restored from %d of %d bytes", size, whole)
		}
	}
	if there, err := streams.Exists(t.Context(), eventsStream); there || err != nil {
		t.Errorf("a failed restore left a stream: %v, %v", there, err)
	}
	if _, err := restore(t, streams, snapshot, data.Bytes()); err != nil {
		t.Errorf("a restore after failed ones: %v", err)
	}
}

func TestSnapshotsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	streams := archiveOf(t, b)
	if _, err := streams.Save(t.Context(), "NOVEL_NOTHING", new(bytes.Buffer), nil); !errors.Is(err, eventstore.ErrNoStream) {
		t.Errorf("saved what is not there: %v", err)
	}
	for _, snapshot := range []archive.Snapshot{
		{},
		{Config: []byte(`{"name":"OTHER"}`), State: []byte(`{}`)},
		{Config: []byte(`{"name":"NOVEL_EVENTS"}`), State: []byte(`x`)},
	} {
		if _, err := restore(t, streams, snapshot, nil); !errors.Is(err, archive.ErrBadSnapshot) {
			t.Errorf("restored %s: %v", snapshot.Config, err)
		}
	}
}

func TestAttachChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *eventstore.Config) { c.MaxAge = time.Hour })
	cfg := eventstore.DefaultConfig()
	log, err := eventstore.Attach(t.Context(), b.conn, cfg, nil, prometheus.NewRegistry())
	if err != nil || log.Epoch() != b.log.Epoch() {
		t.Fatalf("attached: %v", err)
	}
	stream, err := b.js.Stream(t.Context(), eventsStream)
	if err != nil || stream.CachedInfo().Config.MaxAge != time.Hour {
		t.Errorf("the limits of the stream changed: %v", err)
	}
	if err := b.js.DeleteStream(t.Context(), eventsStream); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstore.Attach(t.Context(), b.conn, cfg, nil, prometheus.NewRegistry()); !errors.Is(err, eventstore.ErrNoStream) {
		t.Errorf("attached to nothing: %v", err)
	}
	if _, err := b.js.Stream(t.Context(), eventsStream); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("Attach made a stream: %v", err)
	}
}
