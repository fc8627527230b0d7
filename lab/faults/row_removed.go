package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/wait"
)

func removedRows() []Row {
	const limit = 15 * time.Second
	shares := map[string]string{"SOCKET_CLUSTER_MAX_CONNECTIONS": "1000"} // which gateways count together
	return []Row{
		{
			Number: 31, Title: "dead letters, sessions, identity and shares removed under poison, the log inside the gateway", Limit: limit, InCI: true,
			System: System{Jobs: 6, Sockets: true, Env: shares}, Run: removeStreams,
		},
		{
			Number: 31, Variant: "server", Title: "dead letters, sessions, identity and shares removed under poison, one NATS server", Limit: limit,
			System: System{Nodes: 1, Jobs: 6, Gateways: 2, Sockets: true, Env: shares}, Run: removeStreams,
		},
		{
			Number: 31, Variant: "cluster", Title: "dead letters, sessions, identity and shares removed under poison, 3 NATS nodes", Limit: limit,
			System: System{Nodes: 3, Jobs: 6, Gateways: 2, Sockets: true, Env: shares}, Run: removeStreams,
		},
	}
}

// removable are the streams beside the log that a gateway needs all the time.
var removable = []string{"NOVEL_DEADLETTER", "KV_NOVEL_SESSIONS", "NOVEL_IDENTITY", "KV_NOVEL_GATEWAYS"}

// removeStreams removes every stream except the log with a foreign tool, while good and
// invalid events are published. Good events must not wait, and the streams must be
// re-created.
func removeStreams(ctx context.Context, t *Trial) error {
	js, disconnect, err := t.jetStream()
	if err != nil {
		return err
	}
	defer disconnect()
	epoch, err := t.epoch(ctx)
	if err != nil {
		return err
	}
	stopPoison := t.loadPoison(ctx, 20)
	defer func() { _, _ = stopPoison() }()
	stop := t.Load(100)
	defer stop()
	if _, err := t.letters(ctx, 5); err != nil {
		return err
	}
	removals := t.Scaled("removals", 5, 2, 1)
	for range removals {
		if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
			return err
		}
		for _, name := range removable {
			err := insist(ctx, func(ctx context.Context) error { return js.DeleteStream(ctx, name) })
			if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // when the first answer was lost
				return fmt.Errorf("remove %s: %w", name, err)
			}
		}
		since := time.Now()
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
		if err := awaitStreams(ctx, js, removable); err != nil {
			return err
		}
		t.Recovered(time.Since(since))
		if _, err := t.letters(ctx, 5); err != nil {
			return err
		}
	}
	t.Measure("removals of each", float64(removals), "")
	sent, err := stopPoison()
	if err != nil {
		return err
	}
	t.Measure("poison events", float64(sent), "")
	if err := t.Outbox.AwaitMore(ctx, 50); err != nil {
		return err
	}
	if after, err := t.epoch(ctx); err != nil || after != epoch {
		return errors.Join(fmt.Errorf("epoch %s became %s, and the log was left alone", epoch, after), err)
	}
	// Each stream is re-created by one of the gateways; the shares have a count of their own.
	return t.ExpectMetric(ctx, "realtime_eventstore_streams_recreated_total", float64(removals*(len(removable)-1)))
}

// awaitStreams waits until streams exist.
func awaitStreams(ctx context.Context, js jetstream.JetStream, names []string) error {
	for _, name := range names {
		for {
			err := insist(ctx, func(ctx context.Context) error {
				_, err := js.Stream(ctx, name)
				return err
			})
			if err == nil {
				break
			}
			if waited := wait.For(ctx, 50*time.Millisecond); waited != nil {
				return fmt.Errorf("%s is not re-created: %w", name, errors.Join(waited, err))
			}
		}
	}
	return nil
}

// loadPoison publishes rate invalid events per second, all of them different, until stop is
// called, which returns their number.
func (t *Trial) loadPoison(ctx context.Context, rate int) (stop func() (sent int, err error)) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	sent, failed := 0, error(nil)
	running.Go(func() { // ends with stop
		w := t.newHand()
		defer w.close()
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := w.send(ctx, fmt.Appendf(nil, `{"kind":"domain","jobId":"job-0","n":%d`, sent)); err != nil {
				if ctx.Err() == nil {
					failed = err
				}
				return
			}
			sent++
		}
	})
	return func() (int, error) {
		cancel()
		running.Wait()
		return sent, failed
	}
}
