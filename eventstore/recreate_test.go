package eventstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/messaging"
)

// Streams and buckets that somebody removes while the service runs are re-created, and
// what waited for them goes on.
func TestRemovedStreamsAreRecreated(t *testing.T) {
	t.Parallel()
	b := setup(t, soon)
	sessions, err := sessions.Open(t.Context(), b.log, sessions.DefaultConfig(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sessions.Run(ctx) }()
	defer func() {
		cancel()
		if err := await(t, "the sessions to end", done); err != nil {
			t.Error(err)
		}
	}()
	b.add(t, record("job", "a"))
	guard(t, b.log)
	epoch := b.log.Epoch()
	for _, name := range []string{"NOVEL_DEADLETTER", "KV_NOVEL_SESSIONS", "NOVEL_IDENTITY"} {
		if err := b.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	letter := messaging.DeadLetter{Reason: messaging.ReasonInvalidJSON, Body: []byte("x"), At: time.Now()}
	bounded, cancelLetter := context.WithTimeout(t.Context(), patience)
	defer cancelLetter()
	if err := b.log.DeadLetter(bounded, letter); err != nil {
		t.Errorf("a dead letter: %v", err)
	}
	id := strings.Repeat("s", 22)
	sessions.Save(id, []byte("state"))
	eventually(t, "every stream", func() bool {
		for _, name := range []string{"NOVEL_DEADLETTER", "KV_NOVEL_SESSIONS", "NOVEL_IDENTITY"} {
			if _, err := b.js.Stream(t.Context(), name); err != nil {
				return false
			}
		}
		return true
	})
	if b.log.Epoch() != epoch {
		t.Error("a new epoch has begun")
	}
	if identity, found, err := b.log.Identity(t.Context()); err != nil || !found || identity.Epoch != epoch {
		t.Errorf("identity = %+v, %v, %v", identity, found, err)
	}
	// Each is counted after it is there.
	eventually(t, "all three to be counted", func() bool { return b.counter(t, "streams_recreated_total") == 3 })
}

// soon makes the guard look often, and re-create the event stream at once.
func soon(c *eventstore.Config) {
	c.GuardInterval, c.RecreateWait = 10*time.Millisecond, 50*time.Millisecond
}

// So is the event stream, in a new epoch, after the time that a restore takes.
func TestRemovedEventsAreRecreated(t *testing.T) {
	t.Parallel()
	b := setup(t, soon)
	b.add(t, record("job", "a"))
	old := b.log.Epoch()
	guard(t, b.log)
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	bounded, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	receipt, err := b.log.Append(bounded, record("job", "b"))
	if err != nil || receipt.Sequence != 1 || b.log.Epoch() == old {
		t.Errorf("receipt = %+v, epoch %s, %v", receipt, b.log.Epoch(), err)
	}
}
