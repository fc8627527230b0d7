package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// evictionSlack is how late an idle socket may go (contract, section 6), and
// evictionHaste how much earlier than its time, for clocks that tick apart.
const (
	evictionSlack = 500 * time.Millisecond
	evictionHaste = 20 * time.Millisecond
)

// idleEviction lets sockets be silent.
var idleEviction = Scenario{
	Name:     "idle-eviction",
	Summary:  "silent sockets: each is told why and is gone within the idle timeout and 500 ms, and none before",
	Defaults: load.Options{ClientCount: 20, IdleLimitMs: 10_000, SettleMs: 2000},
	heeds:    []string{"clientCount", "idleLimitMs", "settleMs"},
	run:      runIdleEviction,
}

// silent is one socket that says nothing.
type silent struct {
	socket         *socket.Socket
	dialled, ready time.Time
	mu             sync.Mutex // guards told
	told           bool       // it was told why
}

func (s *silent) take(e socket.Event) {
	var problem messaging.Problem
	if e.Name != messaging.EventError || e.Decode(&problem) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = s.told || problem.Code == messaging.CodeIdleTimeout && problem.Message == problem.Code.Message()
}

func runIdleEviction(ctx context.Context, t *trial) error {
	timeout := time.Duration(t.before.IdleTimeoutMs) * time.Millisecond
	switch {
	case timeout == 0:
		return t.skip("the gateway has no idle timeout (SOCKET_IDLE_TIMEOUT_MS)")
	case t.before.IdleTimeoutMs > t.opts.IdleLimitMs:
		return t.skip("the idle timeout is %s, longer than idleLimitMs allows to wait", timeout)
	}
	clients := make([]*silent, t.opts.ClientCount)
	err := each(ctx, len(clients), abreast, func(ctx context.Context, i int) error {
		c := &silent{dialled: time.Now()}
		var err error
		c.socket, err = t.dialFirst(ctx, socket.Config{Handler: c.take})
		c.ready, clients[i] = time.Now(), c
		return err
	})
	if err != nil {
		return err
	}
	page, err := t.pages.First(ctx)
	if err != nil {
		return err
	}
	t.result.Check("metrics count the idle deadlines", page.IdleClients >= len(clients), len(clients), page.IdleClients)
	return t.awaitEvictions(ctx, clients, timeout)
}

func (t *trial) awaitEvictions(ctx context.Context, clients []*silent, timeout time.Duration) error {
	late := measure.NewLatency()
	deadline, cancel := context.WithTimeout(ctx, timeout+evictionSlack+t.opts.Settle())
	defer cancel()
	var mu sync.Mutex // guards the counts below
	stayed, untold, early, dropped, gone := 0, 0, 0, 0, 0
	err := each(ctx, len(clients), len(clients), func(_ context.Context, i int) error {
		c := clients[i]
		select {
		case <-c.socket.Ended():
		case <-deadline.Done():
			mu.Lock()
			defer mu.Unlock()
			stayed++
			return nil
		}
		left := time.Now()
		t.count(-1)
		mu.Lock()
		defer mu.Unlock()
		late.Record(left.Sub(c.ready) - timeout)
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.told {
			untold++
		}
		if left.Sub(c.dialled) < timeout-evictionHaste {
			early++
		}
		if !errors.Is(c.socket.Err(), socket.ErrDisconnected) {
			dropped++
		}
		gone++
		t.progress("evicted", gone, len(clients))
		return nil
	})
	if err != nil {
		return err
	}
	r, slowest := t.result, late.Distribution()
	r.Check("evicted", stayed == 0, fmt.Sprintf("all %d", len(clients)), fmt.Sprintf("%d stayed", stayed))
	r.Check("told why", untold == 0, "each, with code and text", fmt.Sprintf("%d were not", untold))
	r.Check("disconnected by the server", dropped == 0, "each, with a Socket.IO disconnect", fmt.Sprintf("%d were cut", dropped))
	r.Check("not before the timeout", early == 0, "none", early)
	r.Check("in time", slowest.Max <= measure.Ms(evictionSlack), fmt.Sprintf("within %s after the timeout", evictionSlack), fmt.Sprintf("%.0f ms after it", slowest.Max))
	r.Figure("lateP95Ms", slowest.P95)
	r.Figure("lateMaxMs", slowest.Max)
	return t.gone(ctx)
}
