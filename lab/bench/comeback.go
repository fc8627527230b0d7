package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// Figures of the rows in which connections are lost. Every client has a cursor, reconnects
// with it, and must have each event once and in order at the end.
const (
	// followers is how many clients lose their connection.
	followers = 5000
	// away is how long a client in the row jitter stays disconnected.
	away = 2 * time.Second
	// connected is how long the clients of the row avalanche are connected at least.
	connected = 2 * time.Second
	// attempts bounds how often a client tries to connect again.
	attempts = 20
)

// follower is one client with a cursor.
type follower struct {
	place int // its number among the clients
	job   string
	group *followerGroup

	mu     sync.Mutex // guards the fields below
	socket *socket.Socket
	last   uint64 // the sequence of the newest event
	next   int    // the number of the event that has to come next
	wrong  int    // events that were another
	since  time.Time
	due    int // with which number it has caught up; below 0: it has
}

// followerGroup is all followers of a row.
type followerGroup struct {
	addr       string
	subscribed atomic.Int64
	received   atomic.Int64
	caughtUp   *measure.Latency // from the beginning of the attempt to connect
	back       atomic.Int64     // followers that have caught up
	all        []*follower
}

// newFollowers connects so many clients to a job.
func (s *system) newFollowers(ctx context.Context, count int, job string) (*followerGroup, error) {
	g := &followerGroup{addr: s.gateways[0].Addr(), caughtUp: measure.NewLatency()}
	for i := range count {
		g.all = append(g.all, &follower{place: i, job: job, group: g, due: -1})
	}
	if err := g.each(ctx, func(f *follower) error { return f.open(ctx) }); err != nil {
		return g, err
	}
	return g, await(ctx, &g.subscribed, int64(count))
}

// each calls do for every follower, at most abreast at a time, and returns the first error.
func (g *followerGroup) each(ctx context.Context, do func(*follower) error) error {
	return each(ctx, len(g.all), func(i int) error { return do(g.all[i]) })
}

// open connects and subscribes after the newest event that the client has.
func (f *follower) open(ctx context.Context) error {
	opened, err := dial(ctx, f.group.addr, f.place, f.take)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.socket = opened
	since := f.last
	f.mu.Unlock()
	return opened.Emit(messaging.EventSubscribe, map[string]any{"jobId": f.job, "since": since})
}

// comeBack reconnects, with several attempts if needed, and measures the time until the
// client has the events up to upTo.
func (f *follower) comeBack(ctx context.Context, upTo int) (err error) {
	f.mu.Lock()
	f.since, f.due = time.Now(), upTo
	f.mu.Unlock()
	for range attempts {
		if err = f.open(ctx); err == nil {
			break
		}
		if waited := wait.For(ctx, 50*time.Millisecond); waited != nil {
			return waited
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.check()
	return err
}

// check is called with mu held, when next or due has changed.
func (f *follower) check() {
	if f.due < 0 || f.next < f.due {
		return
	}
	f.due = -1
	f.group.caughtUp.Record(time.Since(f.since))
	f.group.back.Add(1)
}

// drop cuts the connection.
func (f *follower) drop() {
	f.mu.Lock()
	dropped := f.socket
	f.mu.Unlock()
	end(dropped)
}

func (f *follower) take(e socket.Event) {
	switch e.Name {
	case messaging.EventSubscribed:
		f.group.subscribed.Add(1)
	case socket.DomainEvent:
		number, _ := numberAfter(e.Text(), `"number":`)
		sequence, _ := numberAfter(e.Text(), `"sequence":`)
		f.mu.Lock()
		defer f.mu.Unlock()
		if int(number) != f.next || uint64(sequence) <= f.last {
			f.wrong++
			return
		}
		f.next, f.last = f.next+1, uint64(sequence)
		f.group.received.Add(1)
		f.check()
	}
}

func (g *followerGroup) close() {
	for _, f := range g.all {
		f.drop()
	}
}

// settle waits until each follower has the events up to a number. It fails if a follower
// received an unexpected event or an event twice.
func (g *followerGroup) settle(ctx context.Context, events int) error {
	if err := await(ctx, &g.received, int64(len(g.all)*events)); err != nil {
		return err
	}
	for _, f := range g.all {
		f.mu.Lock()
		wrong := f.wrong
		f.mu.Unlock()
		if wrong > 0 {
			return fmt.Errorf("client %d was sent %d events twice or out of order", f.place, wrong)
		}
	}
	return nil
}

func (g *followerGroup) figures() []Figure {
	latency := g.caughtUp.Distribution()
	return []Figure{
		{Name: "back, p50", Value: latency.P50, Unit: "ms"},
		{Name: "back, p99", Value: latency.P99, Unit: "ms"},
		{Name: "back, the last", Value: latency.Max, Unit: "ms"},
	}
}

// jitter sends 120 events in 24 s to 5,000 clients, each of which loses its connection once
// in this time and stays disconnected for 2 s.
func jitter(ctx context.Context, s *system) ([]Figure, error) {
	const events, pause = 120, 200 * time.Millisecond
	job := jobsOf(1)[0]
	g, err := s.newFollowers(ctx, followers, job)
	defer g.close()
	if err != nil {
		return nil, err
	}
	var sent atomic.Int64
	began := time.Now()
	failed := make(chan error, len(g.all)+1)
	var group sync.WaitGroup
	random := rand.New(rand.NewPCG(18, 5)) // the same in each run
	for _, f := range g.all {
		at := time.Duration(random.Int64N(int64(events*pause - 2*away)))
		group.Go(func() { // ends with its client's return, or with ctx
			err := wait.For(ctx, time.Until(began.Add(at)))
			if err == nil {
				f.drop()
				err = wait.For(ctx, away)
			}
			if err == nil {
				err = f.comeBack(ctx, int(sent.Load()))
			}
			failed <- err
		})
	}
	group.Go(func() { // ends with the last event
		for n := range events {
			if err := wait.For(ctx, time.Until(began.Add(time.Duration(n)*pause))); err != nil {
				failed <- err
				return
			}
			if err := s.publishAll(ctx, []string{job}, n, n+1); err != nil {
				failed <- err
				return
			}
			sent.Store(int64(n + 1))
		}
		failed <- nil
	})
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return nil, err
		}
	}
	if err := g.settle(ctx, events); err != nil {
		return nil, err
	}
	return g.figures(), nil
}

// avalanche closes 5,000 connections at once, sends 120 events while no client is
// connected, and lets all clients reconnect as fast as they can.
func avalanche(ctx context.Context, s *system) ([]Figure, error) {
	job := jobsOf(1)[0]
	g, err := s.newFollowers(ctx, followers, job)
	defer g.close()
	if err != nil {
		return nil, err
	}
	// Connections that end within their first second would count as churn, for which the
	// gateway slows an address down.
	if err := wait.For(ctx, connected); err != nil {
		return nil, err
	}
	if err := g.each(ctx, func(f *follower) error { f.drop(); return nil }); err != nil {
		return nil, err
	}
	if err := s.stored(ctx, job); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := g.each(ctx, func(f *follower) error { return f.comeBack(ctx, missed) }); err != nil {
		return nil, err
	}
	if err := await(ctx, &g.back, followers); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := g.settle(ctx, missed); err != nil {
		return nil, err
	}
	return append([]Figure{{Name: "all are back", Value: measure.Ms(took), Unit: "ms"}}, g.figures()...), nil
}
