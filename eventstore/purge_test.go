package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// put stores many messages quickly, each under one of the subjects in turn.
func put(t *testing.T, js jetstream.JetStream, count int, subject func(i int) *nats.Msg) {
	t.Helper()
	for i := range count {
		if _, err := js.PublishMsgAsync(subject(i), jetstream.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("the server does not take the messages")
	}
}

// TestPurgeJob removes a long job at once, up to a sequence, with few requests, and
// removes nothing else. Whoever repeats it removes what is left.
func TestPurgeJob(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{StoreDir: t.TempDir()})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn)
	const long = 5000
	put(t, b.js, long, func(i int) *nats.Msg {
		if i%5 == 0 {
			return nats.NewMsg("novel.events.other")
		}
		return nats.NewMsg("novel.events.long")
	})
	last := b.add(t, record("long", "last"))[0]
	newer := b.add(t, record("long", "newer"))[0]
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := maintain.Of(b.log).PurgeJob(gone, "long", last, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("PurgeJob without time: %v", err)
	}
	var told []uint64
	for _, want := range []uint64{long/5*4 + 1, 0} {
		purged, err := maintain.Of(b.log).PurgeJob(t.Context(), "long", last, func(purged uint64) { told = append(told, purged) })
		if err != nil || purged != want {
			t.Errorf("purged %d, want %d; %v", purged, want, err)
		}
	}
	if len(told) != 1 {
		t.Errorf("told %v: want one request", told)
	}
	if records, err := b.log.ReadAfter(t.Context(), "long", 0, 10); err != nil || len(records) != 1 || records[0].Sequence != newer {
		t.Errorf("left are %v, %v", records, err)
	}
	if others, err := maintain.Of(b.log).CountJob(t.Context(), "other"); err != nil || others != long/5 {
		t.Errorf("the other job has %d, %v", others, err)
	}
	if purged, err := maintain.Of(b.log).PurgeJob(t.Context(), "long", math.MaxUint64, nil); err != nil || purged != 1 {
		t.Errorf("without a bound it purges %d, %v", purged, err)
	}
	if _, err := maintain.Of(b.log).PurgeJob(t.Context(), "", last, nil); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("PurgeJob of nothing: %v", err)
	}
}

// TestPurgeDeadLetters removes the letters of one reason up to a sequence, then all, and
// several that are named.
func TestPurgeDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 300 {
		reason := messaging.ReasonInvalidJSON
		if i%3 == 0 {
			reason = messaging.ReasonUnknownKind
		}
		letter := messaging.DeadLetter{Reason: reason, At: time.Now(), Body: fmt.Appendf(nil, "{%d", i)}
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (all, unknown int) {
		letters, err := b.operators().DeadLetters(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range letters {
			if letter.Reason == messaging.ReasonUnknownKind {
				unknown++
			}
			if bytes.HasPrefix(letter.Body, []byte("{")) {
				all++
			}
		}
		return all, unknown
	}
	if purged, err := b.operators().PurgeDeadLetters(t.Context(), messaging.ReasonUnknownKind, 151); err != nil || purged != 50 {
		t.Errorf("purged %d, %v", purged, err)
	}
	if all, unknown := left(); all != 250 || unknown != 50 {
		t.Errorf("%d letters are left, %d of the reason", all, unknown)
	}
	named := []uint64{1, 2, 3, 298, 299, 300, 900} // 1 is gone, 900 was never there
	for range 2 {
		if err := b.operators().RemoveDeadLetters(t.Context(), named); err != nil {
			t.Error(err)
		}
	}
	if all, _ := left(); all != 245 {
		t.Errorf("%d letters are left", all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.operators().RemoveDeadLetters(ctx, []uint64{200, 201}); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	if purged, err := b.operators().PurgeDeadLetters(t.Context(), "", math.MaxUint64); err != nil || purged != 245 {
		t.Errorf("purged %d, %v", purged, err)
	}
}
