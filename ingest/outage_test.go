package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
)

// deliverAll publishes each event until it has a receipt, as a producer with an outbox
// does, while Redis is disturbed.
func (b *bundle) deliverAll(t *testing.T, events int, disturb func(confirmed int)) {
	t.Helper()
	receipts := b.receipts(t)
	outbox := make(map[string]string)
	for n := range events {
		id := fmt.Sprintf("id-%d", n)
		outbox[id] = event(fmt.Sprint("job-", n%10), id, n)
	}
	deadline := time.Now().Add(patience)
	for len(outbox) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events have no receipt after %s", len(outbox), events, patience)
		}
		published := 0
		for _, body := range outbox {
			// After an error the event has no receipt and is repeated.
			_ = b.client.Publish(t.Context(), messaging.EventsChannel, body).Err()
			if published++; published == 200 {
				break
			}
		}
		disturb(events - len(outbox))
		for quiet := false; !quiet; {
			select {
			case receipt := <-receipts:
				delete(outbox, receipt.ID)
			case <-time.After(20 * time.Millisecond):
				quiet = true
			}
		}
	}
	ids := make(map[string]int)
	for _, record := range b.log.stored() {
		ids[record.ID]++
	}
	if len(ids) != events || len(b.log.stored()) != events {
		t.Errorf("%d records of %d ids, want %d of each", len(b.log.stored()), len(ids), events)
	}
}

func TestRestartOfRedisMidBurstLosesNothingWithReceipts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := b.subscribed(t, quick())
	restarts := 0
	b.deliverAll(t, 2000, func(confirmed int) {
		if restarts < 2 && confirmed >= 400*(restarts+1) {
			restarts++
			b.server.Restart()
		}
	})
	if gaps := g.metric(t, "gaps_total"); restarts != 2 || gaps < 2 {
		t.Errorf("%v gaps after %d restarts, want each marked", gaps, restarts)
	}
	if g.metric(t, "subscribed") != 1 {
		t.Error("not subscribed at the end")
	}
}

func TestKilledSubscriptionsAreEachMarked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := b.subscribed(t, quick())
	kills := 0
	b.deliverAll(t, 2000, func(confirmed int) {
		if kills < 5 && confirmed >= 300*(kills+1) {
			kills++
			// The receipts of the test are a subscription too, which reconnects.
			if err := b.client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
				t.Fatalf("kill: %v", err)
			}
			eventually(t, "the gap to be counted", func() bool { return g.metric(t, "gaps_total") == float64(kills) })
		}
	})
	if kills != 5 {
		t.Errorf("%d kills, want 5", kills)
	}
	if seconds := g.metric(t, "outage_seconds_total"); seconds <= 0 || seconds > patience.Seconds() {
		t.Errorf("outages of %v s, want some", seconds)
	}
}

func TestPausedRedisIsDetectedAndReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := quick()
	cfg.PingTimeout = 5 * time.Second // a busy machine that stops for as long makes another gap
	g := b.subscribed(t, cfg)
	b.server.Pause()
	eventually(t, "the pause to be noticed", func() bool { return errors.Is(g.Connected(), ingest.ErrNotSubscribed) })
	b.server.Resume()
	g.waitConnected(t)
	b.publish(t, event("job", "", 1))
	b.log.waitRecords(t, 1)
	if gaps := g.metric(t, "gaps_total"); gaps != 1 {
		t.Errorf("%v gaps, want 1", gaps)
	}
}

func TestStopIsQuickWhileRedisIsPaused(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"subscribed", "connecting"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			cfg := quick()
			if when == "connecting" { // and waiting for that
				cfg.PingTimeout, cfg.ConnectTimeout = 2*time.Second, 3*patience
			} else {
				cfg.PingInterval, cfg.PingTimeout = 3*patience, 3*patience
			}
			g := b.subscribed(t, cfg)
			b.server.Pause()
			if when == "connecting" {
				eventually(t, "the pause to be noticed", func() bool { return g.Connected() != nil })
			}
			began := time.Now()
			if err := g.stop(); err != nil {
				t.Errorf("run: %v", err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("stopping took %s: it waited for Redis", took)
			}
		})
	}
}

func TestIdleSubscriptionStaysUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := quick()
	cfg.PingInterval, cfg.PingTimeout = 10*time.Millisecond, 5*time.Second
	g := b.subscribed(t, cfg)
	pings := func() int64 {
		// The server counts what it has processed.
		stats, err := b.client.InfoMap(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatalf("info: %v", err)
		}
		var calls int64
		_, _ = fmt.Sscanf(stats["Commandstats"]["cmdstat_ping"], "calls=%d", &calls)
		return calls
	}
	began := time.Now()
	eventually(t, "more than the timeout to pass", func() bool { return pings() > 100 && time.Since(began) > cfg.PingTimeout+cfg.PingTimeout/4 })
	if gaps := g.metric(t, "gaps_total"); gaps != 0 || g.Connected() != nil {
		t.Errorf("%v gaps and %v, want an undisturbed subscription", gaps, g.Connected())
	}
}

func TestRunWaitsForRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.server.Stop()
	g := b.start(t, quick())
	eventually(t, "an attempt to fail", func() bool {
		err := g.Connected()
		var refused *net.OpError
		return errors.Is(err, ingest.ErrNotSubscribed) && errors.As(err, &refused)
	})
	b.server.Restart()
	g.waitConnected(t)
	b.publish(t, event("job", "", 1))
	b.log.waitRecords(t, 1)
	if gaps := g.metric(t, "gaps_total"); gaps != 0 {
		t.Errorf("%v gaps before anything was lost, want none", gaps)
	}
}

// The first pauses are short, because a restarting server is back soon. A server that stays
// away is not flooded with attempts, nor is the log with lines.
func TestBackoffGrowsWithJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		client := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", // a name would be looked up
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				attempts = append(attempts, time.Now())
				return nil, errors.New("unreachable")
			},
		})
		var logged bytes.Buffer
		g, err := ingest.New(client, newMemoryLog(), messaging.DefaultCatalogue(), ingest.DefaultConfig(),
			slog.New(slog.NewTextHandler(&logged, nil)), prometheus.NewRegistry())
		if err != nil {
			t.Fatalf("new: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Fatalf("run: %v", err)
		}
		if err := client.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		want := 20 * time.Millisecond
		for n := range len(attempts) - 1 {
			pause := attempts[n+1].Sub(attempts[n])
			if pause < want*3/4 || pause > want*5/4+time.Millisecond {
				t.Errorf("pause %d is %s, want %s give or take a quarter", n, pause, want)
			}
			want = min(want*3/2, 15*time.Second)
		}
		if len(attempts) > 27 {
			t.Errorf("%d attempts in 2 minutes, want 27 at most", len(attempts))
		}
		if lines := strings.Count(logged.String(), "not subscribed"); lines == 0 || lines > 12 {
			t.Errorf("%d lines in 2 minutes, want one in 10 s at most", lines)
		}
	})
}

func TestCredentialsAreUsedAndNotLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	receipts := b.receipts(t) // connected before the password is set
	const password = "a-password-to-keep"
	if err := b.client.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
		t.Fatalf("set password: %v", err)
	}
	connect := func(password string) *redis.Client {
		client := redis.NewClient(&redis.Options{Addr: b.server.Addr, Password: password})
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	wrong := start(t, connect(password+"-not"), b.log, quick())
	eventually(t, "a refusal", func() bool {
		err := wrong.Connected()
		return errors.Is(err, ingest.ErrNotSubscribed) && strings.Contains(err.Error(), "WRONGPASS")
	})
	if text := wrong.Connected().Error(); strings.Contains(text, password) {
		t.Errorf("health contains the password: %s", text)
	}

	b.client = connect(password)
	start(t, b.client, b.log, quick()).waitConnected(t)
	b.publish(t, event("job", "id", 1))
	if receipt := next(t, receipts); receipt.ID != "id" {
		t.Errorf("receipt %+v", receipt)
	}
}
