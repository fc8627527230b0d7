package publisher

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Redis that restarts is asked again soon, and one that stays away four times a
// second.
func TestPausesOfTheSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		client := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", // a name would be looked up
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				// The driver asks twice at once.
				if now := time.Now(); len(attempts) == 0 || attempts[len(attempts)-1] != now {
					attempts = append(attempts, now)
				}
				return nil, errors.New("unreachable")
			},
		})
		p, err := New(client, DefaultConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := errors.Join(p.Run(ctx), client.Close()); err != nil {
			t.Fatal(err)
		}
		want := relistenMin
		for n := range len(attempts) - 1 {
			pause := attempts[n+1].Sub(attempts[n])
			if pause < want*3/4 || pause > want*5/4+time.Millisecond {
				t.Errorf("pause %d is %s, want %s give or take a quarter", n, pause, want)
			}
			want = min(want*3/2, relistenMax)
		}
		if len(attempts) < 10 || len(attempts) > 60 {
			t.Errorf("%d attempts in 10 s", len(attempts))
		}
	})
}

// What was tried in vain while nothing could be sent does not make the pauses
// longer, once receipts arrive again.
func TestPausesBeginAnewWithTheSubscription(t *testing.T) {
	t.Parallel()
	o := newOutbox(DefaultConfig())
	if _, _, _, err := o.add(t.Context(), "id", "job", nil, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	attempt := func(most time.Duration) {
		batch, wait := o.due(now, 1)
		if len(batch) != 1 {
			t.Fatalf("nothing is due for %s", wait)
		}
		o.again(batch[0], now, 0)
		if due := o.lanes["job"].due.Sub(now); due > most {
			t.Errorf("it is due in %s, want %s at most", due, most)
		}
		now = o.lanes["job"].due
	}
	for range 8 {
		attempt(o.cfg.MaxBackoff * 5 / 4)
	}
	o.hurry(now)
	now = now.Add(100 * time.Millisecond)
	attempt(o.cfg.MinBackoff * 5 / 4)
	attempt(2 * o.cfg.MinBackoff * 5 / 4)
}
