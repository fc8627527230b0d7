package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/loadtest/measure"
	"github.com/letswriteabook/realtime/loadtest/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// errNoCatchUp is returned when a subscription is not caught up in time.
var errNoCatchUp = errors.New("no novel.caught-up")

// follower is one client that follows one job, over any number of sockets.
type follower struct {
	trial *trial
	board *board
	job   int // of the plan

	// caughtUp has a value when a catch-up has ended.
	caughtUp chan struct{}
	// stall, while it is set, is what the reading waits for.
	stall chan struct{}

	mu       sync.Mutex // guards the fields below
	socket   *socket.Socket
	ledger   *measure.Ledger
	live     bool   // the first catch-up has ended
	wrong    string // the first thing that must not be
	position uint64 // the last sequence
}

// newFollower returns a client that is due every event of its job.
func (t *trial) newFollower(b *board, job int) *follower {
	return &follower{trial: t, board: b, job: job, caughtUp: make(chan struct{}, 1), ledger: measure.NewLedger(b.plan.perJob(job))}
}

// take handles one event, on the socket's goroutine.
func (f *follower) take(e socket.Event) {
	switch e.Name {
	case eventName:
		f.deliver(e)
	case messaging.EventCaughtUp:
		f.mu.Lock()
		f.live = true
		f.mu.Unlock()
		select {
		case f.caughtUp <- struct{}{}:
		default:
		}
	case messaging.EventGap, messaging.EventError:
		args, _ := e.Args()
		f.complain(fmt.Sprintf("%s %s", e.Name, args))
	}
	if f.stall != nil {
		<-f.stall
	}
}

func (f *follower) deliver(e socket.Event) {
	var d delivered
	if err := e.Decode(&d); err != nil {
		f.complain(err.Error())
		return
	}
	number := d.number(f.board.plan.jobs[f.job])
	sequence := d.Sequence
	if sequence == 0 {
		sequence = uint64(number) + 1 // of an older writer: ordered by time
	}
	f.mu.Lock()
	fresh, live := f.ledger.Take(number, sequence), f.live
	f.position = f.ledger.Last()
	f.mu.Unlock()
	if fresh {
		f.board.post(f.board.plan.index(f.job, number), e.Received, live)
	}
}

func (f *follower) complain(words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong == "" {
		f.wrong = words
	}
}

// follow connects and subscribes, after the last sequence where there is one, and
// returns when the subscription is caught up. cfg may say how to dial.
func (f *follower) follow(ctx context.Context, cfg socket.Config) error {
	cfg.Handler = f.take
	s, err := f.trial.dial(ctx, cfg)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.socket = s
	request := map[string]any{"jobId": f.board.plan.jobs[f.job]}
	if f.position > 0 {
		request["since"] = f.position
	}
	f.mu.Unlock()
	if err := s.Emit(messaging.EventSubscribe, request); err != nil {
		return err
	}
	timer := time.NewTimer(f.trial.cfg.ConnectTimeout())
	defer timer.Stop()
	select {
	case <-f.caughtUp:
		return nil
	case <-s.Ended():
		return fmt.Errorf("after subscribe: %w", s.Err())
	case <-timer.C:
		return fmt.Errorf("%w within %s", errNoCatchUp, f.trial.cfg.ConnectTimeout())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd is all followers of a board.
type crowd struct {
	board     *board
	followers []*follower
}

// gather connects n followers, spread over the jobs of a plan.
func (t *trial) gather(ctx context.Context, p *plan, n int) (*crowd, error) {
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
		if err := c.followers[i].follow(ctx, socket.Config{}); err != nil {
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
	return c, err
}

// await waits until everything has come, or nothing was missing for so long.
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
