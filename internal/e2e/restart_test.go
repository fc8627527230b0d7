package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// Two gateways behind a load balancer are restarted one after the other while
// events flow. No client misses or repeats one, and those of the gateway that
// stops are let go, to come back to the other, over the time of its drain.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const (
		clients = 40
		drain   = 4 // seconds
	)
	pace := 5 * time.Millisecond
	if raceDetector {
		pace = 40 * time.Millisecond // what gateways that are watched can deliver
	}
	redis := testkit.StartRedis(t)
	log := startGateway(t, settings{"REDIS_URL": redis.URL(), "ROLES": "ingest", "NATS_LISTEN": "127.0.0.1:0", "NATS_SYNC": "10s"})
	gateways := make([]*gateway, 2)
	for i := range gateways {
		gateways[i] = startGateway(t, settings{"ROLES": "fanout", "NATS_URL": natsURL(log), "DRAIN_SECONDS": fmt.Sprint(drain)})
	}
	front := startBalancer(t, gateways...)
	producer := startOutbox(t, redis.Client())

	nodes := startDriver(t)
	visitors := make([]*visitor, clients)
	for i := range visitors {
		visitors[i] = &visitor{client: nodes.open(clientName(i), front.url())}
	}
	for _, v := range visitors {
		v.reconnected()
		v.watch("prose")
	}

	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { // ends with stop
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				producer.send("prose")
			case <-stop:
				return
			}
		}
	})
	endLoad := sync.OnceFunc(func() {
		close(stop)
		load.Wait()
	})
	t.Cleanup(endLoad)
	for _, g := range gateways {
		eventually(t, "all clients are connected", func() error {
			if open := front.connections(); open != clients {
				return fmt.Errorf("%d of %d are", open, clients)
			}
			return nil
		})
		began := time.Now()
		g.stop()
		took := time.Since(began)
		var ends []time.Time
		eventually(t, "the last connection has ended", func() error {
			var kept int
			if ends, kept = front.letGo(g, began); kept > 0 {
				return fmt.Errorf("%d are there still", kept)
			}
			return nil
		})
		// The nth client is let go after n shares of the drain. A machine that stumbles makes
		// it later: only what is early is wrong. Two stand for connections that broke off.
		early := 0
		for n, at := range ends {
			if at.Sub(began) < drain*time.Second*time.Duration(n-2)/time.Duration(len(ends)) {
				early++
			}
		}
		t.Logf("stopped in %s; let go of %d clients", took.Round(time.Millisecond), len(ends))
		if early > 0 {
			t.Errorf("%d of %d clients were let go before their share of a drain of %d s", early, len(ends), drain)
		}
		if len(ends) == 0 {
			t.Errorf("the gateway that was stopped had no clients")
		}
		g.start()
	}
	endLoad()
	producer.settle()
	returned := 0
	for _, v := range visitors {
		v.finish(producer)
		returned += v.recoveries
	}
	if returned < clients {
		t.Errorf("%d returns of %d clients over two restarts", returned, clients)
	}
	t.Logf("%d events, %d returns of %d clients", len(producer.stored()), returned, clients)
	for _, g := range gateways {
		g.kill() // the clients are still there, and a drain would take its time
	}
}

// The cap of the cluster counts the clients of both gateways, and the share of
// one that is killed is free again after its lease.
func TestClusterCap(t *testing.T) {
	t.Parallel()
	log := startGateway(t, settings{"ROLES": "ingest", "NATS_LISTEN": "127.0.0.1:0"})
	env := settings{"ROLES": "fanout", "NATS_URL": natsURL(log), "SOCKET_CLUSTER_MAX_CONNECTIONS": "3"}
	first, second := startGateway(t, env), startGateway(t, env)
	nodes := startDriver(t)
	nodes.connect("a", first.url("/"))
	nodes.connect("b", second.url("/"))
	nodes.connect("c", second.url("/"))
	known := func(g *gateway, want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d connections are known", want), func() error {
			var page struct{ ClusterConnections, MaxClusterConnections int }
			g.fetch("/internal/realtime/metrics", &page)
			if page.ClusterConnections != want || page.MaxClusterConnections != 3 {
				return fmt.Errorf("the page says %+v", page)
			}
			return nil
		})
	}
	known(first, 3)
	var r refusal
	nodes.open("d", first.url("/")).await("connect_error", "connect").into(t, &r)
	if r.Message != "Too many realtime connections. Please retry shortly." || r.Data.Code != "MAX_CONNECTIONS_EXCEEDED" || r.Data.Limit != 3 || r.Data.Current != 3 || r.Data.RetryAfterMs == 0 {
		t.Errorf("refusal %+v", r)
	}
	second.kill()
	known(first, 1)
	nodes.connect("e", first.url("/"))
}
