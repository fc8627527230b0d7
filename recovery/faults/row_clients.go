package faults

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

func clientRows() []Row {
	return []Row{
		{
			Number: 20, Title: "10,000 clients reconnect with cursors", Limit: 90 * time.Second,
			System: System{Nodes: 1, Jobs: 100, Env: map[string]string{"SOCKET_RECOVERY_TTL": "0s"}}, Run: reconnectAll,
		},
		{
			Number: 23, Title: "rolling restart of 3 gateways", Limit: 20 * time.Second,
			System: System{Nodes: 1, Gateways: 3, Env: map[string]string{"DRAIN_SECONDS": "2"}}, Run: restartRolling,
		},
	}
}

// reconnectAll connects a crowd, cuts all of it at once, publishes, and lets all of
// it come back with its cursors.
func reconnectAll(ctx context.Context, t *Trial) error {
	const missed = 10
	size := t.Scaled("clients", 10_000, 10_000, 500)
	release, err := raiseFileLimit(uint64(size) + 2000)
	if err != nil {
		return Skip("%v", err)
	}
	defer release()
	crowd := t.Journal.Crowd("crowd")
	visitors := make([]*visitor, size)
	turn := make(chan struct{}, 200) // how many connect at once, as a listener's backlog bounds it
	for i := range visitors {
		v := &visitor{name: fmt.Sprint(i), gateways: t.addresses(0), notes: crowd}
		v.dial.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%4+1))}
		v.dial.NetDial = takeTurns(turn, v.dial.LocalAddr)
		visitors[i] = v
	}
	for i, v := range visitors {
		v.visit(ctx, t.jobs[i%len(t.jobs):i%len(t.jobs)+1])
	}
	defer func() {
		for _, v := range visitors {
			v.stop()
		}
		for _, v := range visitors {
			v.close()
		}
	}()
	publish := func() error {
		for range missed {
			for _, job := range t.jobs {
				if err := t.Outbox.Publish(job, t.system.EventBytes); err != nil {
					return err
				}
			}
		}
		return t.awaitVisitors(ctx, visitors)
	}
	if err := publish(); err != nil {
		return err
	}
	before, err := metric(ctx, t.Gateways[0], "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	since := time.Now()
	t.Gateways[0].Kill()
	if err := t.Gateways[0].Start(ctx); err != nil {
		return err
	}
	if err := publish(); err != nil {
		return err
	}
	t.Recovered(time.Since(since))
	return t.afterStorm(ctx, size, before)
}

// afterStorm measures what the return of the crowd cost, and that it is over.
func (t *Trial) afterStorm(ctx context.Context, size int, connecting float64) error {
	gateway := t.Gateways[0]
	spent, err := metric(ctx, gateway, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	const quiet = 5 * time.Second
	if err := Pause(ctx, quiet); err != nil {
		return err
	}
	later, err := metric(ctx, gateway, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	memory, err := metric(ctx, gateway, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	idle := (later - spent) / quiet.Seconds()
	t.Measure("clients", float64(size), "")
	t.Measure("CPU for connecting them first", connecting, "s")
	t.Measure("CPU for their return, with the gateway's start", spent, "s")
	t.Measure("cores used once they are back", idle, "")
	t.Measure("gateway's memory", memory/(1<<20), "MiB")
	if idle > 0.5 {
		return fmt.Errorf("the gateway still uses %.2f cores once the crowd is back", idle)
	}
	return nil
}

// takeTurns lets as many dial at once as the channel has room for.
func takeTurns(turn chan struct{}, from *net.TCPAddr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-turn }()
		return (&net.Dialer{LocalAddr: from, KeepAlive: -1}).DialContext(ctx, network, address)
	}
}

// restartRolling stops and starts one gateway after the other, under load and with
// clients on each.
func restartRolling(ctx context.Context, t *Trial) error {
	const clients = 30
	visitors := make([]*visitor, clients)
	for i := range visitors {
		visitors[i] = &visitor{name: fmt.Sprint("visitor-", i), gateways: t.addresses(i), notes: t.Journal}
		visitors[i].visit(ctx, t.jobs)
		defer visitors[i].close()
	}
	stop := t.Load(150)
	defer stop()
	var spreads time.Duration
	for n, gateway := range t.Gateways {
		if err := t.Outbox.AwaitMore(ctx, 300); err != nil {
			return err
		}
		began := time.Now()
		if err := gateway.Stop(ctx); err != nil {
			return err
		}
		broken := breaksSince(visitors, began)
		spreads += spread(broken)
		t.Note("gateway %d sent %d clients away over %s", n+1, len(broken), spread(broken).Round(time.Millisecond))
		since := time.Now()
		if err := gateway.Start(ctx); err != nil {
			return err
		}
		if err := t.Resumed(ctx, since); err != nil {
			return err
		}
	}
	stop()
	if spreads < time.Second {
		return fmt.Errorf("the gateways sent their clients away over %s together, as if there were no drain of 2 s each", spreads)
	}
	return t.awaitVisitors(ctx, visitors)
}

// breaksSince returns when connections ended after a moment, oldest first.
func breaksSince(visitors []*visitor, since time.Time) []time.Time {
	var all []time.Time
	for _, v := range visitors {
		v.mu.Lock()
		for _, at := range v.breaks {
			if at.After(since) {
				all = append(all, at)
			}
		}
		v.mu.Unlock()
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

func spread(moments []time.Time) time.Duration {
	if len(moments) == 0 {
		return 0
	}
	return moments[len(moments)-1].Sub(moments[0])
}
