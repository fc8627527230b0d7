package gateway_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

func TestIdleEviction(t *testing.T) {
	t.Parallel()
	// Many heartbeats, which do not count, and not at the moment of one.
	const timeout = 5*time.Minute + time.Second
	for _, test := range []struct {
		name  string
		lives []string // what the client sends, each four minutes after the last
		after time.Duration
	}{
		{name: "silent", after: timeout},
		{name: "ping keeps it", lives: []string{"ping", "ping", "ping"}, after: 12*time.Minute + timeout},
		{name: "subscribe and unsubscribe keep it", lives: []string{"subscribe", "unsubscribe"}, after: 8*time.Minute + timeout},
		{name: "another event does not", lives: []string{"wave"}, after: timeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, options{pipe: true, config: unhurried, limits: guardrails.Limits{IdleTimeout: timeout}})
				started := time.Now()
				c := s.connect()
				if got := s.snapshot().IdleClients; got != 1 {
					t.Errorf("%d idle deadlines running", got)
				}
				for _, event := range test.lives {
					time.Sleep(4 * time.Minute)
					s.log.publish("job", 1) // what a client is sent is no sign of life
					c.emit(event, request{JobID: "job"})
				}
				var m message
				for m.Name != messaging.EventError {
					event, err := c.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					m = decode(t, event)
				}
				if m.Code != messaging.CodeIdleTimeout || m.Message != "Disconnected due to inactivity." {
					t.Errorf("got %s", m.Raw)
				}
				if lived := time.Since(started); lived < test.after || lived > test.after+time.Second {
					t.Errorf("evicted after %s, want %s", lived, test.after)
				}
				// Disconnected by the server: a client does not reconnect by itself.
				if _, err := c.Next(context.Background()); !errors.Is(err, socket.ErrDisconnected) {
					t.Errorf("ended with %v", err)
				}
				synctest.Wait()
				if got := s.snapshot(); got.TotalConnections != 0 || got.TotalSubscriptions != 0 || got.IdleClients != 0 {
					t.Errorf("left behind: %+v", got)
				}
				if got := s.metric("realtime_fanout_evicted_total"); got != 1 {
					t.Errorf("%v evicted", got)
				}
			})
		})
	}
}

// Requests that name no job keep nobody from being idle.
func TestInvalidRequestsAreNoSignOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5*time.Minute + time.Second
		s := setup(t, options{pipe: true, config: unhurried, limits: guardrails.Limits{IdleTimeout: timeout}})
		started := time.Now()
		c := s.connect()
		for _, event := range []string{"subscribe", "unsubscribe"} {
			time.Sleep(2 * time.Minute)
			c.emit(event, request{})
			expect(t, c, messaging.EventError)
		}
		event, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m := decode(t, event); m.Code != messaging.CodeIdleTimeout || time.Since(started) > timeout+time.Second {
			t.Errorf("got %s after %s", m.Raw, time.Since(started))
		}
	})
}

func TestNoIdleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		c := s.connect()
		time.Sleep(2 * time.Hour)
		c.emit("ping")
		expect(t, c, messaging.EventPong)
		if got := s.snapshot(); got.IdleClients != 0 || got.IdleTimeoutMs != 0 {
			t.Errorf("snapshot %+v", got)
		}
	})
}
