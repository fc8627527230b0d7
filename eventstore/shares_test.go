package eventstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/shares"
	"github.com/letswriteabook/realtime/messaging"
)

// member is a gateway that tells its share and hears of the others.
type member struct {
	heard chan messaging.Share
	leave func() // with a goodbye
	stop  context.CancelFunc
}

func join(t *testing.T, b *bundle, cfg shares.Config, own messaging.Share) *member {
	t.Helper()
	return joinWith(t, b, cfg, func() messaging.Share { return own })
}

// joinWith is join for a share that changes.
func joinWith(t *testing.T, b *bundle, cfg shares.Config, own func() messaging.Share) *member {
	t.Helper()
	exchange, err := shares.Open(b.log, cfg, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{heard: make(chan messaging.Share, 64), stop: stop}
	ended := make(chan struct{})
	go func() { // ends with leave
		defer close(ended)
		_ = exchange.Run(ctx, own, func(sum messaging.Share) { m.heard <- sum })
	}()
	m.leave = func() { stop(); <-ended }
	t.Cleanup(m.leave)
	return m
}

// expect waits until the others hold a total, and returns their origins.
func (m *member) expect(t *testing.T, total int) map[string]int {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case sum := <-m.heard:
			if sum.Total == total {
				return sum.PerOrigin
			}
		case <-deadline:
			t.Fatalf("the others never held %d", total)
		}
	}
}

func quick() shares.Config {
	return shares.Config{Interval: 10 * time.Millisecond, Lease: time.Second, Replicas: 1}
}

func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := join(t, b, quick(), messaging.Share{Total: 3, PerOrigin: map[string]int{"a": 2, "b": 1}})
	second := join(t, b, quick(), messaging.Share{Total: 5, PerOrigin: map[string]int{"a": 5}})
	third := join(t, b, quick(), messaging.Share{Total: 1})
	if origins := third.expect(t, 8); origins["a"] != 7 || origins["b"] != 1 {
		t.Errorf("origins %v", origins)
	}
	a.expect(t, 6)
	second.leave() // its share is free at once
	third.expect(t, 3)
	a.expect(t, 1)
}

// A gateway that goes without a word has its share for its lease, and no longer;
// one that stays is told again and again, and has it for ever.
func TestShareOfTheDeadLapses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	witness := join(t, b, quick(), messaging.Share{})
	staying := join(t, b, quick(), messaging.Share{Total: 2})
	conn, err := b.server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	dying := join(t, open(t, conn), quick(), messaging.Share{Total: 40})
	witness.expect(t, 42)
	conn.Close() // nothing of it reaches the server any more
	dying.stop()
	witness.expect(t, 2)
	staying.expect(t, 0)
}

// A bucket that vanished is made anew, and what changes after that is told and heard
// as before, by those who were there and by those who come.
func TestSharesSurviveTheirBucket(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var held atomic.Int64 // by the first
	held.Store(1)
	a := joinWith(t, b, quick(), func() messaging.Share {
		return messaging.Share{Total: int(held.Load()), PerOrigin: map[string]int{"a": int(held.Load())}}
	})
	second := join(t, b, quick(), messaging.Share{Total: 2})
	a.expect(t, 2)
	second.expect(t, 1)
	if err := b.js.DeleteKeyValue(t.Context(), "NOVEL_GATEWAYS"); err != nil {
		t.Fatal(err)
	}
	held.Store(10)
	if origins := second.expect(t, 10); origins["a"] != 10 {
		t.Errorf("origins %v", origins)
	}
	third := join(t, b, quick(), messaging.Share{Total: 4})
	third.expect(t, 12)
	a.expect(t, 6)
	held.Store(7)
	third.expect(t, 9)
	second.leave()
	third.expect(t, 7)
	a.expect(t, 4)
}

func TestSharesConfig(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]shares.Config{
		"eventstore: shares: Interval is 0s, must be more than 0":                       {Lease: time.Second, Replicas: 1},
		"eventstore: shares: Lease is 2s, must be at least 1s and three times Interval": {Interval: time.Second, Lease: 2 * time.Second, Replicas: 1},
		"eventstore: shares: Replicas is 2, must be 1, 3 or 5":                          {Interval: time.Second, Lease: 3 * time.Second, Replicas: 2},
	} {
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := shares.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
