package archive_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// A restore says again and again that it goes on, so that the gateways' patience counts
// from its end and not from its begin.
func TestHoldIsRenewed(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	logkit.Open(t, conn)
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := js.Stream(t.Context(), "NOVEL_IDENTITY")
	if err != nil {
		t.Fatal(err)
	}
	newest := func() *jetstream.RawStreamMsg {
		t.Helper()
		found, err := identity.GetLastMsgForSubject(t.Context(), "novel.identity.restoring")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	release := archive.Hold(streams, t.Context(), time.Millisecond)
	first := newest()
	for deadline := time.Now().Add(time.Minute); newest().Sequence < first.Sequence+3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the hold was not renewed")
		}
	}
	if len(newest().Data) == 0 {
		t.Error("the hold was released while the restore goes on")
	}
	release()
	if len(newest().Data) != 0 {
		t.Error("the hold was not released")
	}
}
