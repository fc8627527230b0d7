package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// refusalLimit is how soon a refused client has to know (contract, section 2).
const refusalLimit = 200 * time.Millisecond

// quota is a limit on connections that is tried.
type quota struct {
	limit, taken int
	code         messaging.Code
	origin       func(n int) string
	// other is an origin that the limit is not about; empty: none is tried.
	other string
	// counted reads from a page what the limit is about.
	counted func(metrics.Page) int
}

// door is what came of all attempts to get in.
type door struct {
	mu       sync.Mutex // guards the fields below
	inside   []*socket.Socket
	refused  int
	wrong    []string // refusals with another code or text, and other failures
	refusals *measure.Latency
	joins    *measure.Latency
}

// tryQuota dials more sockets than the limit lets in.
func (t *trial) tryQuota(ctx context.Context, q quota) error {
	free := max(q.limit-q.taken, 0)
	attempts := t.opts.Attempts
	if attempts == 0 {
		attempts = free + t.opts.Extras
	}
	want := min(free, attempts)
	d := &door{refusals: measure.NewLatency(), joins: measure.NewLatency()}
	highest, stop := t.watch(ctx, q.counted)
	err := each(ctx, attempts, abreast, func(ctx context.Context, i int) error {
		began := time.Now()
		s, err := t.dialFirst(ctx, socket.Config{Origin: q.origin(i)})
		d.note(s, err, q.code, time.Since(began))
		t.progress("connecting", i+1, attempts)
		return ctx.Err()
	})
	if err != nil {
		stop()
		return err
	}
	page, _, err := t.settle(ctx, t.pages.First, t.opts.Settle(), func(p metrics.Page) bool { return q.counted(p)-q.taken >= len(d.inside) })
	stop()
	if err != nil {
		return err
	}
	peak := max(highest(), q.counted(page))
	r := t.result
	r.Check("accepted", len(d.inside) == want, want, len(d.inside))
	r.Check("refused with "+string(q.code), d.refused == attempts-want, attempts-want, d.refused)
	r.Check("every refusal has its code and text", len(d.wrong) == 0, "none with another", wrongText(d.wrong))
	slowest := d.refusals.Distribution()
	r.Check("refused at once", slowest.Max < measure.Ms(refusalLimit), fmt.Sprintf("within %s", refusalLimit), fmt.Sprintf("%.1f ms", slowest.Max))
	r.Check("metrics never above the limit", peak <= q.limit, fmt.Sprintf("at most %d", q.limit), peak)
	r.Check("metrics count who is in", q.counted(page) == q.taken+len(d.inside), q.taken+len(d.inside), q.counted(page))
	r.Figure("acceptedConnections", float64(len(d.inside)))
	r.Figure("refusalMaxMs", slowest.Max)
	r.Figure("connectP95Ms", d.joins.Distribution().P95)
	if q.other != "" {
		s, err := t.dialFirst(ctx, socket.Config{Origin: q.other})
		r.Check("another origin gets in", err == nil, "let in", fmt.Sprint(err))
		if err == nil {
			t.part([]*socket.Socket{s})
		}
	}
	t.part(d.inside)
	if err := t.gone(ctx); err != nil {
		return err
	}
	return t.reenter(ctx, q, min(want, max(t.opts.Extras, 1)))
}

// reenter checks that the slots of those who left are free.
func (t *trial) reenter(ctx context.Context, q quota, n int) error {
	var again []*socket.Socket
	for i := range n {
		s, err := t.dialFirst(ctx, socket.Config{Origin: q.origin(i)})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			again = append(again, s)
		}
	}
	t.result.Check("slots are free afterwards", len(again) == n, n, len(again))
	t.part(again)
	page, _, back, err := t.emptied(ctx) // so that the next scenario does not count them
	if err != nil {
		return err
	}
	t.result.Check("slots are free at the end", back, fmt.Sprintf("%d connections", t.all.TotalConnections), fmt.Sprintf("%d connections", page.TotalConnections))
	return nil
}

func (d *door) note(s *socket.Socket, err error, code messaging.Code, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var refused *socket.Refused
	switch {
	case err == nil:
		d.inside = append(d.inside, s)
		d.joins.Record(took)
		return
	case errors.As(err, &refused) && refused.Data.Code == code && refused.Message == code.Message():
		d.refused++
	default:
		d.wrong = append(d.wrong, err.Error())
	}
	d.refusals.Record(took)
}

func wrongText(wrong []string) string {
	if len(wrong) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, such as %s", len(wrong), wrong[0])
}

// watch follows a count of the page until stop is called; highest is for after
// that.
func (t *trial) watch(ctx context.Context, counted func(metrics.Page) int) (highest func() int, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	top := 0
	done.Go(func() { // ends with ctx
		for wait.For(ctx, pagePause) == nil {
			if page, err := t.pages.First(ctx); err == nil {
				top = max(top, counted(page))
			}
		}
	})
	stop = func() {
		cancel()
		done.Wait()
	}
	return func() int { return top }, stop
}

// connectionQuota fills the gateway.
var connectionQuota = Scenario{
	Name:     "connection-quota",
	Summary:  "more sockets than the gateway takes: exactly the limit gets in, the others are refused at once",
	Defaults: load.Options{Extras: 3, SettleMs: 2000},
	heeds:    []string{"attempts", "extras", "settleMs"},
	run: func(ctx context.Context, t *trial) error {
		if t.before.MaxConnections == 0 {
			return t.skip("the gateway has no limit on connections (SOCKET_MAX_CONNECTIONS)")
		}
		return t.tryQuota(ctx, quota{
			limit: t.before.MaxConnections, taken: t.before.TotalConnections, code: messaging.CodeMaxConnectionsExceeded,
			origin: t.origin, counted: func(p metrics.Page) int { return p.TotalConnections },
		})
	},
}

// originQuota fills what one origin may have.
var originQuota = Scenario{
	Name:     "origin-quota",
	Summary:  "more sockets of one origin than it may have: exactly the limit gets in, the others are refused at once",
	Defaults: load.Options{Extras: 3, SettleMs: 2000},
	heeds:    []string{"attempts", "extras", "settleMs"},
	run: func(ctx context.Context, t *trial) error {
		limit, origin := t.before.MaxConnectionsPerOrigin, t.origin(0)
		if limit == 0 {
			return t.skip("the gateway has no limit on the connections of an origin (SOCKET_MAX_CONNECTIONS_PER_ORIGIN)")
		}
		taken := t.before.ConnectionsPerOrigin[origin]
		beyond := t.opts.Extras
		if t.cfg.AlternateOrigin != "" {
			beyond = max(beyond, 1)
		}
		if room := t.before.MaxConnections - t.before.TotalConnections; t.before.MaxConnections > 0 && room < limit-taken+beyond {
			return t.skip("the gateway has room for %d sockets: its own limit is met before that of an origin", room)
		}
		return t.tryQuota(ctx, quota{
			limit: limit, taken: taken, code: messaging.CodeOriginConnectionsExceeded, other: t.cfg.AlternateOrigin,
			origin: func(int) string { return origin }, counted: func(p metrics.Page) int { return p.ConnectionsPerOrigin[origin] },
		})
	},
}
