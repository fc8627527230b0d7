package ingest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// One message above the output limit of Redis disconnects the subscriber, and the messages
// behind it in the buffer are lost. The gap states how many these may be, and the hint on
// how to lose nothing is logged once.
func TestGapHasASize(t *testing.T) {
	t.Parallel()
	const neighbours = 50
	b := setup(t)
	if err := b.client.ConfigSet(t.Context(), "client-output-buffer-limit", "pubsub 1mb 1mb 1").Err(); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer // read after the end of the gateway
	g := startLogged(t, b.server.Client(), b.log, quick(), slog.New(slog.NewTextHandler(&logged, nil)))
	g.waitConnected(t)
	b.publish(t, event("job", "", 0))
	b.log.waitRecords(t, 1)

	for gap := 1; gap <= 2; gap++ {
		pipe := b.client.Pipeline()
		for n := range neighbours / 2 {
			pipe.Publish(t.Context(), messaging.EventsChannel, event("job", "", gap*1000+n))
		}
		pipe.Publish(t.Context(), messaging.EventsChannel, strings.Repeat("x", 4<<20))
		for n := range neighbours / 2 {
			pipe.Publish(t.Context(), messaging.EventsChannel, event("job", "", gap*1000+500+n))
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("gap %d", gap), func() bool { return g.metric(t, "gaps_total") == float64(gap) && g.Connected() == nil })
	}
	lost := 2*(neighbours+1) + 1 - int(g.metric(t, "received_events_total"))
	if lost == 0 {
		t.Error("nothing was lost")
	}
	// A gap is measured after it was counted.
	eventually(t, "the gaps to be measured", func() bool { return int(g.metric(t, "gap_messages_total")) >= lost })
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	if hints := strings.Count(logged.String(), "hint="); hints != 1 || !strings.Contains(logged.String(), "missedAtMost=") {
		t.Errorf("%d hints in\n%s", hints, logged.String())
	}
}
