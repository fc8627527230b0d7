package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/lab/processes"
)

func halfOpenRows() []Row {
	return []Row{{
		Number: 16, Title: "half-open TCP: the cable of 20 clients is pulled", Limit: heartbeat + heartbeatGrace, NeedsRoot: true,
		System: System{Nodes: 1, Jobs: 4, Env: map[string]string{"HOST": "", "SOCKET_RECOVERY_TTL": "0s"}}, Run: pullCable,
	}}
}

// heartbeat is the sum of the gateway's ping interval and timeout, within which it must
// detect a lost client; heartbeatGrace is an allowance for a busy machine.
const (
	heartbeat      = 45 * time.Second
	heartbeatGrace = 5 * time.Second
)

// usage is how many connections, subscriptions and files a gateway has open.
type usage struct{ connections, subscriptions, files float64 }

// pullCable drops all packets of clients in a network of their own. The gateway receives no
// end of their connections and must detect it.
func pullCable(ctx context.Context, t *Trial) error {
	const clients = 20
	network, err := processes.NewNetwork(ctx)
	if errors.Is(err, processes.ErrNoNetwork) {
		return Skip("%v", err)
	}
	if err != nil {
		return err
	}
	defer network.Close()
	gateway := t.Gateways[0]
	_, port, err := net.SplitHostPort(gateway.Addr())
	if err != nil {
		return err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return err
	}
	without, err := use(ctx, gateway)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{Timeout: time.Second, KeepAlive: -1}
	dial := func(ctx context.Context, kind, address string) (net.Conn, error) {
		return network.Dial(ctx, dialer, kind, address)
	}
	visitors := make([]*visitor, clients)
	for i := range visitors {
		visitors[i] = &visitor{
			name: fmt.Sprint("visitor-", i), gateways: []string{net.JoinHostPort(network.Addr(), port)}, notes: t.Journal,
			dial: socket.Config{NetDial: dial},
		}
		visitors[i].visit(ctx, t.jobs)
		defer visitors[i].close()
	}
	if err := t.PublishSome(ctx, 100); err != nil {
		return err
	}
	if err := t.awaitVisitors(ctx, visitors); err != nil {
		return err
	}
	with, err := use(ctx, gateway)
	if err != nil {
		return err
	}
	if with.connections != without.connections+clients || with.files < without.files+clients {
		return fmt.Errorf("with %d clients more the gateway has %+v in use, and had %+v", clients, with, without)
	}
	without.files = with.files - clients // with the connections to Redis that publishing opened
	over := t.Fault("cable pulled")
	if err := network.Cut(ctx); err != nil {
		return err
	}
	since := time.Now()
	// Few enough events that the kernel buffers them for each client, so that only the
	// missing answers show the loss.
	if err := t.PublishSome(ctx, 20); err != nil {
		return err
	}
	now := with
	for now.connections > without.connections || now.subscriptions > without.subscriptions || now.files > without.files {
		if time.Since(since) > 2*heartbeat {
			return fmt.Errorf("after %s without a packet the gateway has %+v in use, and with %d clients less it were %+v", 2*heartbeat, now, clients, without)
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		if now, err = use(ctx, gateway); err != nil {
			return err
		}
	}
	t.Recovered(time.Since(since))
	t.Measure("open files of the gateway with the clients", with.files, "")
	t.Measure("open files of the gateway without them", now.files, "")
	if err := network.Mend(ctx); err != nil {
		return err
	}
	over()
	t.Note("connections, subscriptions and open files were back where they were before the %d clients came; with the cable in again these got what they had missed", clients)
	return t.awaitVisitors(ctx, visitors)
}

// use returns the usage of a gateway, from its metrics and the system.
func use(ctx context.Context, gateway *processes.Process) (usage, error) {
	var u usage
	var err error
	if u.connections, err = metric(ctx, gateway, connectionsMetric); err != nil {
		return u, err
	}
	if u.subscriptions, err = metric(ctx, gateway, "realtime_fanout_subscriptions"); err != nil {
		return u, err
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(gateway.PID()), "fd"))
	if err != nil {
		return u, fmt.Errorf("count the gateway's open files: %w", err)
	}
	u.files = float64(len(files))
	return u, nil
}
