package ingest_test

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/outage"
)

// Subscriptions that end again and again are one line in the log, and each is counted; so
// are receipts that cannot be published now and then.
func TestGapsAreOneOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	do := func(command ...any) {
		t.Helper()
		if err := b.client.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("ACL", "SETUSER", "gateway", "on", ">pw", "allchannels", "+@all")
	options := *b.client.Options()
	options.Username, options.Password = "gateway", "pw"
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	var told logLines
	g := startLogged(t, client, b.log, quick(), slog.New(slog.NewTextHandler(&told, nil)))
	g.waitConnected(t)
	const cuts = 5
	for cut := 1; cut <= cuts; cut++ {
		began := time.Now()
		do("CLIENT", "KILL", "TYPE", "pubsub")
		eventually(t, "the gap", func() bool { return g.metric(t, "gaps_total") == float64(cut) && g.Connected() == nil })
		for right, outcome := range map[string]string{"-publish": "failed", "+publish": "sent"} {
			do("ACL", "SETUSER", "gateway", right)
			b.publish(t, event("job", outcome+strconv.Itoa(cut), cut))
			eventually(t, "a receipt is "+outcome, func() bool { return g.metric(t, "receipts_total{"+outcome+"}") == float64(cut) })
		}
		if took := time.Since(began); took > outage.Calm/2 {
			t.Skipf("one cut took %s: after %s an outage is over", took, outage.Calm)
		}
	}
	for _, line := range []string{"subscribed to Redis again; events published in between were not read", "receipts cannot be published"} {
		if n := told.count(line); n != 1 {
			t.Errorf("%d cuts are logged %d times: %s", cuts, n, line)
		}
	}
}
