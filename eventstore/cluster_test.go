package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// freePorts returns ports that stay free while a server is stopped and started again.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	ports := make([]int, count)
	for i := range ports {
		address, err := netip.ParseAddrPort(testkit.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = int(address.Port())
	}
	return ports
}

// nodes are the servers of a cluster, which keep their addresses and folders when they
// are stopped and started again.
type nodes struct {
	options []server.Options
	servers []*server.Server
}

// startNodes runs three servers that replicate until the test ends.
func startNodes(t *testing.T) *nodes {
	t.Helper()
	const count = 3
	ports := freePorts(t, 2*count)
	var routes []*url.URL
	for _, port := range ports[:count] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", port)})
	}
	n := &nodes{servers: make([]*server.Server, count)}
	for i := range count {
		n.options = append(n.options, server.Options{
			ServerName: fmt.Sprint("node-", i), Host: "127.0.0.1", Port: ports[count+i],
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		})
	}
	t.Cleanup(func() { n.stop(0, 1, 2) })
	n.start(t, 0, 1, 2)
	return n
}

func (n *nodes) start(t *testing.T, which ...int) {
	t.Helper()
	for _, i := range which {
		options := n.options[i] // The server changes what it is given.
		instance, err := server.NewServer(&options)
		if err != nil {
			t.Fatal(err)
		}
		n.servers[i] = instance
		go instance.Start() // Stopped by stop.
	}
	for _, i := range which {
		if !n.servers[i].ReadyForConnections(patience) {
			t.Fatal("a node did not start")
		}
	}
}

// stop stops servers; one that is stopped already stays so.
func (n *nodes) stop(which ...int) {
	for _, i := range which {
		if n.servers[i] != nil {
			n.servers[i].Shutdown()
		}
	}
	for _, i := range which {
		if n.servers[i] != nil {
			n.servers[i].WaitForShutdown()
		}
	}
}

// urls returns the addresses of all servers.
func (n *nodes) urls() string {
	var all []string
	for _, options := range n.options {
		all = append(all, fmt.Sprintf("nats://%s:%d", options.Host, options.Port))
	}
	return strings.Join(all, ",")
}

// startCluster returns the servers of a cluster.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	return startNodes(t).servers
}

// whole returns the records of a job once that many can be read, and fails the test if it
// has more. Each read comes from any replica, which may lag behind the others.
func (b *bundle) whole(t *testing.T, job string, count int) (records []messaging.Record) {
	t.Helper()
	afterElections(t, fmt.Sprintf("%d records of job %q to be read", count, job), func() bool {
		var err error
		records, err = readBack(t.Context(), b.log, job, math.MaxUint64, count+1)
		return err == nil && len(records) >= count
	})
	if len(records) > count {
		t.Fatalf("job %q has more than %d records", job, count)
	}
	return records
}

// Three replicas: gateways on different nodes agree on the epoch, appends
// outlive the leader, and everything acknowledged is read back in order.
func TestThreeReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	servers := startCluster(t)
	replicated := func(c *eventstore.Config) {
		c.Replicas = 3
		c.MaxBytes = 64 << 20
		c.DeadLetterMaxBytes = 8 << 20
		c.AckTimeout, c.ReadTimeout = time.Second, 2*time.Second
		c.OpenTimeout = patience
	}
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	gateways := make([]*bundle, len(servers))
	var opening sync.WaitGroup
	for i := range gateways {
		// Each prefers its own node and knows the others.
		conn := connect(t, strings.Join(append([]string{urls[i]}, urls...), ","))
		opening.Go(func() {
			var err error
			if gateways[i], err = tryOpen(t.Context(), conn, replicated); err != nil {
				t.Errorf("gateway %d: %v", i, err)
			}
		})
	}
	opening.Wait()
	if t.Failed() {
		return
	}
	b := gateways[0]
	for _, g := range gateways {
		if g.log.Epoch() != b.log.Epoch() {
			t.Errorf("epochs %s and %s", g.log.Epoch(), b.log.Epoch())
		}
	}

	const jobs, each = 3, 80
	quarter, half := make(chan struct{}, jobs), make(chan struct{}, jobs)
	var appending sync.WaitGroup
	for j := range jobs {
		appending.Go(func() {
			for i := range each {
				// Two gateways hear every event, at the same time: one of them may be
				// told that the other's is being stored, which is no success.
				var hearing sync.WaitGroup
				for _, g := range []*bundle{gateways[j], gateways[(j+1)%len(gateways)]} {
					hearing.Go(func() {
						if _, err := g.log.Append(t.Context(), withID(fmt.Sprint(j), fmt.Sprint(j, "-", i), "x")); err != nil {
							t.Errorf("append: %v", err)
						}
					})
				}
				hearing.Wait()
				switch i {
				case each / 4:
					quarter <- struct{}{}
				case each / 2:
					half <- struct{}{}
				}
			}
		})
	}
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a quarter of the appends", quarter)
	// The leader gives its office away. It may refuse while it is new.
	eventually(t, "the leader to step down", func() bool {
		answer, err := b.conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.NOVEL_EVENTS", nil, 5*time.Second)
		return err == nil && strings.Contains(string(answer.Data), `"success":true`)
	})
	await(t, "half of the appends", half)
	var leader string
	afterElections(t, "a leader", func() bool {
		info, err := stream.Info(t.Context())
		if err == nil {
			leader = info.Cluster.Leader
		}
		return leader != ""
	})
	for _, s := range servers {
		if s.Name() == leader {
			s.Shutdown()
		}
	}
	appending.Wait()

	for j := range jobs {
		for i, r := range b.whole(t, fmt.Sprint(j), each) {
			if r.ID != fmt.Sprint(j, "-", i) {
				t.Fatalf("job %d: record %d has id %s", j, i, r.ID)
			}
		}
	}
	afterElections(t, "another leader", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.Cluster.Leader != "" && info.Cluster.Leader != leader
	})
	streams, err := archive.New(b.conn, "")
	if err != nil {
		t.Fatal(err)
	}
	bounded, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := streams.Save(bounded, "NOVEL_AUDIT", io.Discard, nil); !errors.Is(err, eventstore.ErrNoStream) {
		t.Errorf("a stream that is missing is saved with %v", err)
	}
	for _, cause := range []string{"duplicate-in-flight", "timeout", "no-responders", "disconnected", "server"} {
		repeats := 0.0
		for _, g := range gateways {
			repeats += g.retriesBy(t, cause)
		}
		t.Logf("repeated because of %s: %v", cause, repeats)
	}
}
