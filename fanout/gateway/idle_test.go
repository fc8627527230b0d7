package gateway_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
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

// An idle timeout that is changed counts for sockets that are connected, and is shown.
func TestIdleTimeoutIsChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after time.Duration
		lives         time.Duration // from the connect on; the change is after ten minutes
	}{
		{name: "shorter", before: time.Hour, after: 15 * time.Minute, lives: 15 * time.Minute},
		{name: "shorter than the silence", before: time.Hour, after: 5 * time.Minute, lives: 10 * time.Minute},
		{name: "longer", before: 15 * time.Minute, after: time.Hour, lives: time.Hour},
		{name: "on", after: 15 * time.Minute, lives: 25 * time.Minute},
		{name: "off", before: 15 * time.Minute},
		{name: "as before", before: 15 * time.Minute, after: 15 * time.Minute, lives: 15 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limits := guardrails.Limits{MaxSubscriptionsPerClient: 1, IdleTimeout: test.before}
				s := setup(t, options{pipe: true, config: unhurried, limits: limits})
				started := time.Now()
				c := s.connect()
				time.Sleep(10 * time.Minute)
				limits.IdleTimeout = test.after
				if err := s.gateway.SetLimits(limits); err != nil {
					t.Fatal(err)
				}
				if test.after == 0 {
					if got := s.snapshot().IdleClients; got != 0 {
						t.Errorf("%d idle deadlines running", got)
					}
					time.Sleep(2 * time.Hour)
					c.emit("ping")
					expect(t, c, messaging.EventPong)
					return
				}
				if got := s.snapshot().IdleClients; got != 1 && test.lives > 10*time.Minute {
					t.Errorf("%d idle deadlines running", got)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				event, err := c.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if lived := time.Since(started); decode(t, event).Code != messaging.CodeIdleTimeout || lived < test.lives || lived > test.lives+time.Second {
					t.Errorf("got %s after %s, want it after %s", event.Name, lived, test.lives)
				}
				synctest.Wait()
				if got := s.snapshot().IdleClients; got != 0 {
					t.Errorf("%d idle deadlines are left", got)
				}
			})
		})
	}
}

// A timer that fires while it is set again, or stopped, adds none.
func TestIdleTimersThatFireWhileTheyAreSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := guardrails.Limits{MaxSubscriptionsPerClient: 1, IdleTimeout: time.Hour}
		s := setup(t, options{pipe: true, config: unhurried, limits: limits})
		s.connect()
		for _, timeout := range []time.Duration{0, time.Hour, 0, 2 * time.Hour} {
			limits.IdleTimeout = timeout
			if err := s.gateway.SetLimits(limits); err != nil {
				t.Fatal(err)
			}
			gateway.FireTimers(s.gateway)
			want := 0
			if timeout > 0 {
				want = 1
			}
			if got := s.snapshot().IdleClients; got != want {
				t.Errorf("timeout %s: %d idle deadlines running, want %d", timeout, got, want)
			}
		}
	})
}
