package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// crowd is all followers of a board.
type crowd struct {
	board     *board
	followers []*follower
}

// gather connects n followers, spread over the jobs of a plan.
func (t *trial) gather(ctx context.Context, p *plan, n int) (*crowd, error) {
	return t.gatherWith(ctx, p, n, func(int) socket.Config { return socket.Config{} })
}

// gatherWith is gather with a way to dial for each.
func (t *trial) gatherWith(ctx context.Context, p *plan, n int, how func(i int) socket.Config) (*crowd, error) {
	due := 0
	for i := range n {
		due += p.perJob(i % len(p.jobs))
	}
	c := &crowd{board: newBoard(p, due, t.began)}
	for i := range n {
		c.followers = append(c.followers, t.newFollower(c.board, i%len(p.jobs)))
	}
	joins, done := measure.NewLatency(), 0
	var mu sync.Mutex // guards done
	err := each(ctx, n, abreast, func(ctx context.Context, i int) error {
		began := time.Now()
		if err := c.followers[i].follow(ctx, how(i)); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		joins.Record(time.Since(began))
		mu.Lock()
		defer mu.Unlock()
		done++
		t.progress("subscribing", done, n)
		return nil
	})
	t.result.Figure("subscribeP95Ms", joins.Distribution().P95)
	t.keepAwake(ctx, c)
	return c, err
}

// keepAwake lets followers that only listen say so, where the gateway would evict
// them, until ctx ends.
func (t *trial) keepAwake(ctx context.Context, c *crowd) {
	if t.before.IdleTimeoutMs == 0 {
		return
	}
	t.background.Go(func() { // ends with ctx
		for wait.For(ctx, time.Duration(t.before.IdleTimeoutMs)*time.Millisecond/3) == nil {
			for _, f := range c.followers {
				f.mu.Lock()
				s := f.socket
				f.mu.Unlock()
				if s != nil {
					_ = s.Emit(messaging.EventPing) // one that has ended is found by the account
				}
			}
		}
	})
}

// reaches checks that every follower gets its share of the first n events before
// anything else is done: what comes only with that would otherwise pass.
func (t *trial) reaches(ctx context.Context, what string, c *crowd, n int) error {
	behind, err := c.behind(ctx, n, t.opts.Settle())
	if err == nil {
		t.result.Check(what, behind == 0, fmt.Sprintf("all %d have it", len(c.followers)), fmt.Sprintf("%d have not", behind))
	}
	return err
}

// behind waits until every follower has its share of the first n events, or limit is
// over, and returns how many have not.
func (c *crowd) behind(ctx context.Context, n int, limit time.Duration) (int, error) {
	for deadline := time.Now().Add(limit); ; {
		behind := 0
		for _, f := range c.followers {
			f.mu.Lock()
			if f.ledger.Counts().Received < c.board.plan.upTo(f.job, n) {
				behind++
			}
			f.mu.Unlock()
		}
		if behind == 0 || time.Now().After(deadline) {
			return behind, nil
		}
		if err := wait.For(ctx, pagePause); err != nil {
			return behind, err
		}
	}
}

// await waits until everything has come, or limit is over.
func (c *crowd) await(ctx context.Context, t *trial, limit time.Duration) error {
	timer, tick := time.NewTimer(limit), time.NewTicker(100*time.Millisecond)
	defer timer.Stop()
	defer tick.Stop()
	due := c.board.missing.Load()
	for {
		select {
		case <-c.board.complete:
			return nil
		case <-tick.C:
			t.progress("delivering", int(due-c.board.missing.Load()), int(due))
		case <-timer.C:
			return nil // the account says what is missing
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// account adds up what the followers got, and judges it.
func (c *crowd) account(t *trial) measure.Counts {
	var all measure.Counts
	wrong, ended := "", 0
	for _, f := range c.followers {
		f.mu.Lock()
		all = all.Plus(f.ledger.Counts())
		if f.wrong != "" && wrong == "" {
			wrong = f.wrong
		}
		if f.socket != nil && f.socket.Err() != nil {
			ended++
		}
		f.mu.Unlock()
	}
	r := t.result
	r.Delivery = &all
	r.Check("delivered", all.Received == all.Due, fmt.Sprintf("%d of %d", all.Due, all.Due), fmt.Sprintf("%d of %d", all.Received, all.Due))
	r.Check("none twice", all.Duplicated == 0, 0, all.Duplicated)
	r.Check("none out of order", all.Reordered == 0, 0, all.Reordered)
	r.Check("none that was not published", all.Unknown == 0, 0, all.Unknown)
	if wrong == "" {
		wrong = "nothing"
	}
	r.Check("the gateway reports nothing", wrong == "nothing", "no novel.gap or novel.error", wrong)
	r.Check("every socket stays", ended == 0, fmt.Sprintf("all %d", len(c.followers)), fmt.Sprintf("%d ended", ended))
	r.Series = append(r.Series, c.board.deliveries.Series("deliveriesPerSecond"), t.connections.Series("connections"))
	return all
}

// latency puts the distribution into the result, and its main figures.
func (c *crowd) latency(t *trial) measure.Distribution {
	d := c.board.latency.Distribution()
	r := t.result
	r.Latency = &d
	r.Figure("latencyP50Ms", d.P50)
	r.Figure("latencyP90Ms", d.P90)
	r.Figure("latencyP95Ms", d.P95)
	r.Figure("latencyP99Ms", d.P99)
	r.Figure("latencyMaxMs", d.Max)
	return d
}

// leave ends every connection as clients do that mean to.
func (c *crowd) leave(t *trial) {
	var sockets []*socket.Socket
	for _, f := range c.followers {
		if f.socket != nil && f.socket.Err() == nil {
			sockets = append(sockets, f.socket)
		}
	}
	t.part(sockets)
}
