package engineio_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// TestShutdownIsSpread: over the drain period, sessions are closed one by one at
// an even pace, so that their clients come back to other servers likewise.
func TestShutdownIsSpread(t *testing.T) {
	t.Parallel()
	const sessions, period = 20, 10 * time.Second
	configure := func(cfg *engineio.Config) { cfg.DrainPeriod = period }
	onFakeClock(t, options{configure: configure}, func(t *testing.T, s *stage) {
		var waiting sync.WaitGroup
		closed := make(chan time.Time, sessions)
		for range sessions {
			p, o := s.openWebSocket()
			waiting.Go(func() { // a client answers the close frame
				for {
					if _, _, err := p.NextReader(); err != nil {
						return
					}
				}
			})
			waiting.Go(func() {
				<-o.closed
				closed <- time.Now()
			})
		}
		began := time.Now()
		if err := s.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		for n := range sessions {
			due := time.Duration(n) * period / sessions
			if after := (<-closed).Sub(began); after < due || after > due+time.Second/10 {
				t.Errorf("session %d closed after %s, want %s", n, after, due)
			}
		}
	})
}

// TestShutdownDoesNotWaitPastItsContext: at its end, those left are cut.
func TestShutdownDoesNotWaitPastItsContext(t *testing.T) {
	t.Parallel()
	configure := func(cfg *engineio.Config) { cfg.DrainPeriod = time.Hour }
	onFakeClock(t, options{configure: configure}, func(t *testing.T, s *stage) {
		_, first := s.openWebSocket()
		_, second := s.openWebSocket()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err == nil {
			t.Error("no error for a drain that was cut short")
		}
		for _, o := range []*owner{first, second} {
			want(t, "reason", <-o.closed, engineio.ReasonShutdown)
		}
	})
}

// TestHandshakesWhileDrainingAreAskedToRetry: the refusal is not a final one, over both
// transports, and the sessions that are open go on.
func TestHandshakesWhileDrainingAreAskedToRetry(t *testing.T) {
	t.Parallel()
	var draining atomic.Bool
	s := setup(t, options{configure: func(cfg *engineio.Config) { cfg.Draining = draining.Load }, react: echo})
	id, _ := s.openPolling()
	draining.Store(true)
	check := func(transport string, response *http.Response, body []byte) {
		want(t, transport+" status", response.StatusCode, http.StatusServiceUnavailable)
		if response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", transport)
		}
		if text := string(body); text != `{"code":3,"message":"Server shutting down"}` {
			t.Errorf("%s: body %s", transport, text)
		}
	}
	response, err := s.client.Get(s.url("http", "EIO=4&transport=polling"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	check("polling", response, body)
	conn, response, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket"), nil)
	if err == nil {
		_ = conn.Close()
		t.Fatal("a WebSocket was opened")
	}
	if response == nil {
		t.Fatal(err)
	}
	body, err = io.ReadAll(response.Body) // of the dialer, in memory
	if err != nil {
		t.Fatal(err)
	}
	check("websocket", response, body)
	status, _ := s.post(id, "4hello")
	want(t, "status of a post", status, http.StatusOK)
	_, text := s.poll(id)
	want(t, "answer", text, "4hello")
}
