package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// delivery is the part of an event that a visitor reads.
type delivery struct {
	ID       string `json:"id"`
	JobID    string `json:"jobId"`
	Sequence uint64 `json:"sequence"`
	Event    struct {
		At int64 `json:"at"` // when the outbox published it, in microseconds
	} `json:"event"`
}

// notes records the requests and deliveries of a visitor. A journal and a crowd of a
// journal implement it.
type notes interface {
	Follows(client, job string, after uint64)
	Delivered(client, id, job string, sequence uint64, resumed bool)
}

// visitor is a Socket.IO client that follows jobs from their beginning. After a lost
// connection it connects to the next gateway with the last sequence it received.
type visitor struct {
	name     string
	gateways []string // base URLs
	notes    notes
	dial     socket.Config // for its connections; the zero value is valid
	heard    *samples      // the delivery times of events; nil: not recorded

	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	last    map[string]uint64
	breaks  []time.Time // when each connection ended
	resumes int
	trouble error         // errors and gaps from the gateway
	changed chan struct{} // closed and replaced with each change of the above
}

// pingInterval is how often a visitor sends a ping, so that no gateway treats it as idle.
const pingInterval = time.Minute

// visit starts a visitor, which runs until close.
func (v *visitor) visit(ctx context.Context, jobs []string) {
	v.last, v.changed = map[string]uint64{}, make(chan struct{})
	for _, job := range jobs {
		v.last[job] = 0
	}
	ctx, v.stop = context.WithCancel(context.WithoutCancel(ctx))
	v.running.Go(func() { v.run(ctx) }) // ends with ctx
}

func (v *visitor) close() {
	v.stop()
	v.running.Wait()
}

func (v *visitor) run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		v.connect(ctx, v.gateways[attempt%len(v.gateways)])
		_ = wait.For(ctx, followPause) // the loop sees the end of ctx
	}
}

// connect runs one connection until it ends. The error that ended it is ignored.
func (v *visitor) connect(ctx context.Context, gateway string) {
	cfg := v.dial
	cfg.Endpoint, cfg.Handler = gateway+"/ws", v.take
	conn, err := socket.Dial(ctx, cfg)
	if err != nil {
		return
	}
	defer conn.Kill()
	v.mu.Lock()
	requests := make([]map[string]any, 0, len(v.last))
	for job, since := range v.last {
		v.notes.Follows(v.name, job, since)
		requests = append(requests, map[string]any{"jobId": job, "since": since})
	}
	v.mu.Unlock()
	for _, request := range requests {
		if conn.Emit(messaging.EventSubscribe, request) != nil {
			break // the connection has ended
		}
	}
	v.note(func() { v.resumes++ })
	alive := time.NewTicker(pingInterval)
	defer alive.Stop()
	for {
		select {
		case <-alive.C:
			_ = conn.Emit(messaging.EventPing) // fails on a closed connection
		case <-conn.Ended():
			v.note(func() { v.breaks = append(v.breaks, time.Now()) })
			return
		case <-ctx.Done():
			return
		}
	}
}

func (v *visitor) take(event socket.Event) {
	switch event.Name {
	case messaging.EventGap, messaging.EventError:
		args, _ := event.Args() // an error shows an empty text
		v.note(func() {
			v.trouble = errors.Join(v.trouble, fmt.Errorf("client %s got %s %s", v.name, event.Name, args))
		})
		return
	case messaging.EventSubscribed, messaging.EventUnsubscribed, messaging.EventCaughtUp, messaging.EventPong:
		return
	}
	var d delivery
	if err := event.Decode(&d); err != nil {
		v.note(func() { v.trouble = errors.Join(v.trouble, fmt.Errorf("client %s: %w", v.name, err)) })
		return
	}
	if v.heard != nil {
		v.heard.add(time.UnixMicro(d.Event.At), event.Received)
	}
	v.note(func() {
		v.notes.Delivered(v.name, d.ID, d.JobID, d.Sequence, false)
		v.last[d.JobID] = max(v.last[d.JobID], d.Sequence)
	})
}

// note calls change with the mutex held.
func (v *visitor) note(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	close(v.changed)
	v.changed = make(chan struct{})
}

// await waits until the visitor has reached a sequence in each of its jobs.
func (v *visitor) await(ctx context.Context, heads map[string]uint64) error {
	for {
		v.mu.Lock()
		behind, changed, trouble := "", v.changed, v.trouble
		for job, last := range v.last {
			if last < heads[job] {
				behind = fmt.Sprintf("%s at %d of %d", job, last, heads[job])
			}
		}
		v.mu.Unlock()
		if trouble != nil || behind == "" {
			return trouble
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("client %s has not caught up: %s: %w", v.name, behind, ctx.Err())
		}
	}
}

// addresses returns the base URLs of all gateways for clients, rotated so that consecutive
// clients start with different gateways.
func (t *Trial) addresses(n int) []string {
	var all []string
	if t.Running() {
		all = slices.Clone(t.running.Gateways)
	}
	for i, gateway := range t.Gateways {
		if len(t.system.Roles) == 0 || strings.Contains(t.system.Roles[i], "fanout") {
			all = append(all, "http://"+gateway.Addr())
		}
	}
	n %= len(all)
	return slices.Concat(all[n:], all[:n])
}

// awaitVisitors waits until everything is acknowledged and each visitor has it.
func (t *Trial) awaitVisitors(ctx context.Context, visitors []*visitor) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	return t.arrive(ctx, visitors...)
}

// arrive waits until visitors have what the log has.
func (t *Trial) arrive(ctx context.Context, visitors ...*visitor) error {
	heads, err := t.heads(ctx)
	if err != nil {
		return err
	}
	for _, v := range visitors {
		if err := v.await(ctx, heads); err != nil {
			return err
		}
	}
	return nil
}

// heads returns the last sequence of each job in the log.
func (t *Trial) heads(ctx context.Context) (map[string]uint64, error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return log.LastSequences(ctx, t.jobs)
}
