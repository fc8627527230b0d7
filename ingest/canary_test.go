package ingest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// exercise sends one canary, which must pass within a second.
func (g *gateway) exercise(t *testing.T, text string) error {
	t.Helper()
	return g.Exercise(t.Context(), text, time.Hour, time.Second)
}

// A canary passes an idle ingest and a busy one. It leaves no record, no dead letter and no
// receipt, and belongs to one gateway.
func TestCanaryPasses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, other := b.subscribed(t, quick()), b.subscribed(t, quick())
	receipts := b.receipts(t)
	var ofOne atomic.Int32
	b.log.setBefore(func(_ context.Context, jobID string) error {
		if jobID == canaryJob {
			ofOne.Add(1)
		}
		return nil
	})
	for _, g := range []*gateway{one, other} {
		if err := g.Exercise(t.Context(), "text", time.Hour, patience); err != nil {
			t.Error(err)
		}
	}
	if n := ofOne.Load(); n != 2 {
		t.Errorf("2 canaries of 2 gateways were stored %d times", n)
	}
	b.publish(t, event("a", "id", 1))
	if receipt := next(t, receipts); receipt.ID != "id" {
		t.Errorf("receipt of %q", receipt.ID)
	}
	delivered, answered, err := ingest.ExerciseGateways(t.Context(), b.client.Options(), "all", patience)
	if delivered != 2 || answered != 2 || err != nil {
		t.Errorf("of %d gateways %d have answered, %v", delivered, answered, err)
	}
	eventually(t, "the sent receipts", func() bool { return one.metric(t, "receipts_total{sent}")+other.metric(t, "receipts_total{sent}") == 2 })
	if n := one.metric(t, "received_events_total"); n != 1 {
		t.Errorf("%v events were received", n)
	}
	if records := b.log.stored(); len(records) != 1 {
		t.Errorf("%d records", len(records))
	}
}

// The stalled stage is named: reading, writing or answering, each while Redis and the log
// work.
func TestCanaryNamesTheStalledStage(t *testing.T) {
	t.Parallel()
	for name, stall := range map[string]func(t *testing.T, b *bundle, cfg *ingest.Config) (client *redis.Client, begin func(g *gateway), says string){
		// A proxy passes on everything except the messages of the subscription.
		"reading": func(t *testing.T, b *bundle, _ *ingest.Config) (*redis.Client, func(*gateway), string) {
			var filter filter
			relay := testkit.StartFilter(t, b.server.Addr, filter.pass)
			return redis.NewClient(&redis.Options{Addr: relay.Addr}), func(*gateway) { filter.swallow.Store(true) }, "is not read"
		},
		// The log accepts canaries, and no events of a job.
		"a job": func(t *testing.T, b *bundle, _ *ingest.Config) (*redis.Client, func(*gateway), string) {
			return b.server.Client(), func(*gateway) {
				b.log.setBefore(func(ctx context.Context, jobID string) error {
					if jobID == canaryJob {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				})
				b.publish(t, event("a", "id", 1))
			}, "the write of an event is under way" // after ten seconds
		},
		// The budget is full: nothing more is read.
		"at the bound": func(t *testing.T, b *bundle, cfg *ingest.Config) (*redis.Client, func(*gateway), string) {
			cfg.MaxPendingEvents = 1
			return b.server.Client(), func(*gateway) {
				b.log.setBefore(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
				b.publish(t, event("a", "id", 1), event("b", "id", 1))
			}, "are not written to the log"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, cfg := setup(t), quick()
			cfg.DrainTimeout = 10 * time.Millisecond
			client, begin, says := stall(t, b, &cfg)
			t.Cleanup(func() { _ = client.Close() })
			g := start(t, client, b.log, cfg)
			g.waitConnected(t)
			if err := g.Exercise(t.Context(), "before", time.Hour, patience); err != nil {
				t.Errorf("before: %v", err)
			}
			begin(g)
			eventually(t, says, func() bool {
				err := g.exercise(t, "text")
				return errors.Is(err, ingest.ErrStalled) && strings.Contains(err.Error(), says)
			})
		})
	}
}

// Writes that wait for room in the log, or for the reading of its ids, are not stalled, and
// the ingest answers canaries meanwhile.
func TestCanaryWhileAppendsWaitForTheLog(t *testing.T) {
	t.Parallel()
	b, cfg := setup(t), quick()
	cfg.DrainTimeout = 10 * time.Millisecond
	g := b.subscribed(t, cfg)
	b.log.setBefore(func(ctx context.Context, jobID string) error {
		if jobID == canaryJob {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	b.publish(t, event("a", "id", 1))
	eventually(t, "the write is stalled", func() bool { return errors.Is(g.exercise(t, "stalled"), ingest.ErrStalled) }) // after ten seconds
	b.log.waits.Store(true)
	if err := g.Exercise(t.Context(), "waiting", time.Hour, patience); err != nil {
		t.Error(err)
	}
	if delivered, answered, err := ingest.ExerciseGateways(t.Context(), b.client.Options(), "all", patience); delivered != 1 || answered != 1 || err != nil {
		t.Errorf("of %d gateways %d have answered, %v", delivered, answered, err)
	}
	b.log.waits.Store(false)
	if err := g.exercise(t, "stalled again"); !errors.Is(err, ingest.ErrStalled) {
		t.Errorf("the log takes others again: %v", err)
	}
}

// Without the permission to read canaries, events are still read.
func TestCanaryWithoutPermission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := []any{"ACL", "SETUSER", "narrow", "on", ">pw", "resetchannels", "&" + messaging.EventsChannel, "&" + messaging.ReceiptsChannel, "+@all"}
	if err := b.client.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	options := *b.client.Options()
	options.Username, options.Password = "narrow", "pw"
	client := redis.NewClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	var told logLines
	g := startLogged(t, client, b.log, quick(), slog.New(slog.NewTextHandler(&told, nil)))
	g.waitConnected(t)
	receipts := b.receipts(t)
	b.publish(t, event("a", "id", 1))
	next(t, receipts)
	if err := g.Exercise(t.Context(), "text", time.Hour, patience); err != nil {
		t.Error(err)
	}
	if n := told.count("is not exercised"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if g.metric(t, "gaps_total") != 0 {
		t.Error("the subscription has ended")
	}
}

// filter drops the messages of subscriptions to events, while swallow is set, from what
// Redis sends.
type filter struct{ swallow atomic.Bool }

// pass copies what Redis sends. Redis writes the messages of a test at once.
func (f *filter) pass(client io.Writer, server io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		text := string(buffer[:n])
		if f.swallow.Load() && strings.Contains(text, "\r\nmessage\r\n") && !strings.Contains(text, messaging.ReceiptsChannel) {
			continue
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}
