package faults

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
)

func crowdRows() []Row {
	return []Row{{
		Number: 20, Title: "10,000 clients reconnect with cursors", Limit: 120 * time.Second,
		System: System{
			Nodes: 1, Jobs: 100, Mongo: true, Gateways: 2, Roles: []string{"ingest,project", "fanout"},
			Env: map[string]string{"SOCKET_RECOVERY_TTL": "0s"},
		},
		Run: reconnectAll,
	}}
}

// missedEvents is how many events of its job each client of row 20 misses.
const missedEvents = 10

// reconnectAll connects a crowd, kills its gateway, publishes while nobody is connected
// until MongoDB has the events, and lets all clients reconnect at once with their cursors.
func reconnectAll(ctx context.Context, t *Trial) error {
	size := t.Scaled("clients", 10_000, 10_000, 500)
	release, err := raiseFileLimit(uint64(size) + 2000)
	if err != nil {
		return Skip("%v", err)
	}
	defer release()
	crowd, leave := t.gather(ctx, size)
	defer leave()
	if err := t.PublishSome(ctx, missedEvents*len(t.jobs)); err != nil {
		return err
	}
	if err := t.awaitVisitors(ctx, crowd); err != nil {
		return err
	}
	gateway := t.Gateways[1]
	first, err := priceOf(ctx, gateway)
	if err != nil {
		return err
	}
	over := t.Fault("gateway of the crowd killed")
	gateway.Kill()
	if err := t.PublishSome(ctx, missedEvents*len(t.jobs)); err != nil {
		return err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	since := time.Now()
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	if err := t.awaitVisitors(ctx, crowd); err != nil {
		return err
	}
	t.Recovered(time.Since(since))
	over()
	return t.afterStorm(ctx, size, first)
}

// gather connects a crowd, each of which follows one job, until it is told to leave.
func (t *Trial) gather(ctx context.Context, size int) (crowd []*visitor, leave func()) {
	notes := t.Journal.Crowd("crowd")
	crowd = make([]*visitor, size)
	turn := make(chan struct{}, 200) // how many connect at once, as a listener's backlog bounds it
	for i := range crowd {
		v := &visitor{name: fmt.Sprint(i), gateways: t.addresses(0), notes: notes}
		v.dial.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%4+1))}
		v.dial.NetDial = takeTurns(turn, v.dial.LocalAddr)
		v.visit(ctx, t.jobs[i%len(t.jobs):i%len(t.jobs)+1])
		crowd[i] = v
	}
	return crowd, func() {
		for _, v := range crowd {
			v.stop()
		}
		for _, v := range crowd {
			v.close()
		}
	}
}

// price is what a gateway has used for its clients since it started.
type price struct{ cpu, reads, shared, memory float64 }

func priceOf(ctx context.Context, gateway *processes.Process) (price, error) {
	var p price
	for name, figure := range map[string]*float64{
		"process_cpu_seconds_total": &p.cpu, "process_resident_memory_bytes": &p.memory,
		"realtime_fanout_history_reads_total": &p.reads, "realtime_fanout_history_shared_reads_total": &p.shared,
	} {
		var err error
		if *figure, err = metric(ctx, gateway, name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// afterStorm measures the cost of the reconnections, and checks that the gateway is idle
// again.
func (t *Trial) afterStorm(ctx context.Context, size int, first price) error {
	gateway := t.Gateways[1]
	back, err := priceOf(ctx, gateway)
	if err != nil {
		return err
	}
	const quiet = 5 * time.Second
	if err := wait.For(ctx, quiet); err != nil {
		return err
	}
	later, err := priceOf(ctx, gateway)
	if err != nil {
		return err
	}
	idle := (later.cpu - back.cpu) / quiet.Seconds()
	t.Measure("clients", float64(size), "")
	t.Measure("pages read from MongoDB and the log for all of them", back.reads, "")
	t.Measure("pages had from a read for another", back.shared, "")
	t.Measure("CPU for connecting them first", first.cpu, "s")
	t.Measure("CPU for their return, with the gateway's start", back.cpu, "s")
	t.Measure("cores used once they are back", idle, "")
	t.Measure("gateway's memory", back.memory/(1<<20), "MiB")
	if most := float64(size/4 + 2*len(t.jobs)); back.reads > most {
		return fmt.Errorf("%v pages were read for %d clients of %d jobs, at most %v", back.reads, size, len(t.jobs), most)
	}
	if idle > 0.5 {
		return fmt.Errorf("the gateway still uses %.2f cores once the crowd is back", idle)
	}
	return nil
}

// takeTurns limits how many clients dial at once to the capacity of the channel.
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
