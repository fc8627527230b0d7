package scenario

import (
	"context"
	"fmt"
	"net"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
)

const (
	// narrowBytes is the kernel's buffer of a slow client, so that it is full soon.
	narrowBytes = 32 << 10
	// worseBy is how many times longer the deliveries to others may take while some
	// do not read, and sameMs what cannot be told apart, in milliseconds.
	worseBy = 3
	sameMs  = 25
)

// slowClients lets some sockets stop reading while events go on.
var slowClients = Scenario{
	Name:    "slow-clients",
	Summary: "some sockets stop reading in the middle of a stream: the others do not notice, and the slow ones get everything afterwards",
	Defaults: load.Options{
		ClientCount: 60, SlowCount: 6, EventCount: 120, DelayMs: 20, JobCount: 1, EventBytes: 8 << 10, LatencyThresholdMs: 600, SettleMs: 20_000,
	},
	heeds:      []string{"clientCount", "slowCount", "eventCount", "delayMs", "jobCount", "eventBytes", "latencyThresholdMs", "settleMs"},
	needsRedis: true,
	run:        runSlowClients,
}

func runSlowClients(ctx context.Context, t *trial) error {
	slow, half := min(t.opts.SlowCount, t.opts.ClientCount), t.opts.EventCount/2
	p := newPlan(t.opts.JobCount, t.opts.EventCount, t.opts.Delay(), t.opts.EventBytes)
	all, err := t.gatherWith(ctx, p, t.opts.ClientCount, func(i int) socket.Config {
		if i < slow {
			return socket.Config{NetDial: dialNarrow}
		}
		return socket.Config{}
	})
	if err != nil {
		return err
	}
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = producer.close() }() // all is confirmed, or the error is told
	before, during, behind := measure.NewLatency(), measure.NewLatency(), measure.NewLatency()
	stall := make(chan struct{})
	released := false
	defer func() {
		if !released {
			close(stall)
		}
	}()
	for _, f := range all.followers {
		f.measureInto(before, nil)
	}
	if err := producer.publish(ctx, t, p, 0, half, nil); err != nil {
		return err
	}
	if err := t.reaches(ctx, "the first half reaches every client", all, half); err != nil {
		return err
	}
	for i, f := range all.followers {
		if i < slow {
			f.measureInto(behind, stall)
		} else {
			f.measureInto(during, nil)
		}
	}
	if err := producer.publish(ctx, t, p, half, p.total, nil); err != nil {
		return err
	}
	quick := &crowd{board: all.board, followers: all.followers[slow:]}
	if err := t.reaches(ctx, "the others get everything meanwhile", quick, p.total); err != nil {
		return err
	}
	close(stall)
	released = true
	if err := all.await(ctx, t, t.opts.Settle()); err != nil {
		return err
	}
	if err := producer.await(ctx, t.opts.Settle()); err != nil {
		return err
	}
	t.judgeSlow(all, before.Distribution(), during.Distribution(), behind.Distribution())
	all.leave(t)
	return t.gone(ctx)
}

func (t *trial) judgeSlow(all *crowd, before, during, behind measure.Distribution) {
	all.account(t)
	r := t.result
	r.Latency = &during
	limit := max(worseBy*before.P95, sameMs)
	r.Check("the others do not notice", during.P95 <= limit, fmt.Sprintf("p95 at most %.1f ms, it was %.1f before", limit, before.P95), fmt.Sprintf("%.1f ms", during.P95))
	r.Check("latency of the others", during.P95 < float64(t.opts.LatencyThresholdMs), fmt.Sprintf("p95 less than %d ms", t.opts.LatencyThresholdMs), fmt.Sprintf("%.1f ms", during.P95))
	r.Figure("beforeP95Ms", before.P95)
	r.Figure("latencyP95Ms", during.P95)
	r.Figure("latencyP99Ms", during.P99)
	r.Figure("slowMaxMs", behind.Max)
}

// dialNarrow opens a connection that holds little of what is not read.
func dialNarrow(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, is := conn.(*net.TCPConn); is {
		err = tcp.SetReadBuffer(narrowBytes)
	}
	return conn, err
}
