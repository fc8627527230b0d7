package redisdial_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
	"github.com/letswriteabook/realtime/messaging"
)

// patience bounds every wait, on a machine that is busy.
const patience = time.Minute

// servers returns what locates a Redis, which runs until the test ends.
func servers(t *testing.T, cfg redisdial.Config) *redisdial.Servers {
	t.Helper()
	s, err := redisdial.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		_ = s.Close()
	})
	return s
}

func client(t *testing.T, options *redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if is() {
			return
		}
	}
	t.Fatalf("%s: not within %s", what, patience)
}

// arrives reports whether what publisher publishes on the events channel reaches a
// subscription, which is made again if it ends.
func arrives(t *testing.T, subscribed *redis.PubSub, publisher *redis.Client) bool {
	t.Helper()
	text := "is it there"
	_ = publisher.Publish(t.Context(), messaging.EventsChannel, text).Err() // asked again
	received, err := subscribed.ReceiveTimeout(t.Context(), 500*time.Millisecond)
	message, ok := received.(*redis.Message)
	return err == nil && ok && message.Payload == text
}

// TestTLSAndUsers: an ACL user over TLS with a client certificate, and refused without one.
func TestTLSAndUsers(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("server")
	address := testkit.FreeAddr(t)
	_, port, _ := net.SplitHostPort(address)
	server := testkit.StartRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authority.File, "--tls-auth-clients", "yes")
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "realtime", "on", ">pa:ss/word", "resetchannels", "&novel.realtime.*", "+subscribe", "+publish", "+ping").Err(); err != nil {
		t.Fatal(err)
	}
	mine, mineKey := authority.Issue("client")
	url := "rediss://realtime:pa%3Ass%2Fword@" + address
	for name, test := range map[string]struct {
		cfg  redisdial.Config
		want string // part of the error; empty: it works. A server may reset the connection before its alert is read.
	}{
		"all of it":           {redisdial.Config{URL: url, TLS: tlsfiles.Files{CA: authority.File, Cert: mine, Key: mineKey}}, ""},
		"no certificate":      {redisdial.Config{URL: url, TLS: tlsfiles.Files{CA: authority.File}}, "certificate required|connection reset by peer|broken pipe"},
		"another authority":   {redisdial.Config{URL: url, TLS: tlsfiles.Files{CA: testkit.NewAuthority(t).File, Cert: mine, Key: mineKey}}, "unknown authority"},
		"the default user":    {redisdial.Config{URL: "rediss://realtime:wrong@" + address, TLS: tlsfiles.Files{CA: authority.File, Cert: mine, Key: mineKey}}, "WRONGPASS"},
		"authorities of Unix": {redisdial.Config{URL: url, TLS: tlsfiles.Files{Cert: mine, Key: mineKey}}, "unknown authority"},
	} {
		options := servers(t, test.cfg).Options()
		options.Protocol, options.MaxRetries = 2, -1
		err := client(t, options).Ping(t.Context()).Err()
		says := func(part string) bool { return err != nil && strings.Contains(err.Error(), part) }
		if test.want == "" && err != nil || test.want != "" && !slices.ContainsFunc(strings.Split(test.want, "|"), says) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

// TestReplacedPrimary: a subscription leaves a server that the Sentinels have replaced,
// though that one still answers and knows nothing of it.
func TestReplacedPrimary(t *testing.T) {
	t.Parallel()
	before, after, sentinel := testkit.StartRedis(t), testkit.StartRedis(t), testkit.StartSentinel(t)
	watch := func(server *testkit.Redis) {
		t.Helper()
		host, port, _ := net.SplitHostPort(server.Addr)
		if err := sentinel.Client().Do(t.Context(), "SENTINEL", "MONITOR", "books", host, port, "1").Err(); err != nil {
			t.Fatal(err)
		}
	}
	watch(before)
	s := servers(t, redisdial.Config{URL: "redis://" + testkit.FreeAddr(t) + "," + sentinel.Addr, Mode: redisdial.Sentinel, MasterName: "books"})
	subscribed := client(t, s.Options()).Subscribe(t.Context(), messaging.EventsChannel)
	t.Cleanup(func() { _ = subscribed.Close() })
	eventually(t, "events of the first primary", func() bool { return arrives(t, subscribed, before.Client()) })
	if err := sentinel.Client().Do(t.Context(), "SENTINEL", "REMOVE", "books").Err(); err != nil {
		t.Fatal(err)
	}
	watch(after)
	publisher := after.Client()
	eventually(t, "events of the second primary", func() bool { return arrives(t, subscribed, publisher) })
}

// TestFailover: three Sentinels replace a primary that does not answer any more.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := testkit.StartRedis(t)
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica := testkit.StartRedis(t, "--replicaof", host+" "+port)
	var addresses []string
	for range 3 {
		sentinel := testkit.StartSentinel(t)
		for _, command := range [][]any{
			{"SENTINEL", "MONITOR", "books", host, port, "2"},
			{"SENTINEL", "SET", "books", "down-after-milliseconds", "1000", "failover-timeout", "5000"},
		} {
			if err := sentinel.Client().Do(t.Context(), command...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		addresses = append(addresses, sentinel.Addr)
		if len(addresses) == 3 {
			asked := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr})
			t.Cleanup(func() { _ = asked.Close() })
			eventually(t, "the Sentinels and the replica", func() bool {
				others, _ := asked.Sentinels(t.Context(), "books").Result()
				replicas, _ := asked.Replicas(t.Context(), "books").Result()
				return len(others) == 2 && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
			})
		}
	}
	s := servers(t, redisdial.Config{URL: "redis://" + strings.Join(addresses, ","), Mode: redisdial.Sentinel, MasterName: "books"})
	subscribed := client(t, s.Options()).Subscribe(t.Context(), messaging.EventsChannel)
	t.Cleanup(func() { _ = subscribed.Close() })
	eventually(t, "events of the primary", func() bool { return arrives(t, subscribed, primary.Client()) })
	primary.Pause()
	promoted := replica.Client()
	eventually(t, "the promotion", func() bool {
		role, _ := promoted.Do(t.Context(), "ROLE").Slice()
		return len(role) > 0 && fmt.Sprint(role[0]) == "master"
	})
	eventually(t, "events of the promoted replica", func() bool { return arrives(t, subscribed, promoted) })
}

// TestCluster: events reach a subscription whichever node they are published on, also
// after the node that it was on is gone.
func TestCluster(t *testing.T) {
	t.Parallel()
	const primaries, nodes = 3, 4
	var all []*testkit.Redis
	for range nodes {
		_, bus, _ := net.SplitHostPort(testkit.FreeAddr(t))
		all = append(all, testkit.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1500", "--cluster-allow-replica-migration", "no"))
		if len(all) > 1 {
			host, port, _ := net.SplitHostPort(all[len(all)-1].Addr)
			if err := all[0].Client().Do(t.Context(), "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The first node owns the slot of the events channel.
	slot, err := all[0].Client().ClusterKeySlot(t.Context(), messaging.EventsChannel).Result()
	if err != nil {
		t.Fatal(err)
	}
	ranges := [primaries][][2]int64{{{slot, slot}}, {{0, slot - 1}}, {{slot + 1, 16383}}}
	for i, of := range ranges {
		for _, r := range of {
			if err := all[i].Client().ClusterAddSlotsRange(t.Context(), int(r[0]), int(r[1])).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, err := all[0].Client().ClusterMyID(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica", func() bool { return all[3].Client().ClusterReplicate(t.Context(), id).Err() == nil })
	eventually(t, "the cluster", func() bool {
		for _, node := range all {
			info, err := node.Client().ClusterInfo(t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprint("cluster_known_nodes:", nodes)) {
				return false
			}
		}
		info, err := all[3].Client().Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	s := servers(t, redisdial.Config{URL: "redis://" + all[1].Addr + "," + all[2].Addr, Mode: redisdial.Cluster})
	subscribed := client(t, s.Options()).Subscribe(t.Context(), messaging.EventsChannel)
	t.Cleanup(func() { _ = subscribed.Close() })
	for i, node := range all {
		eventually(t, fmt.Sprint("events of node ", i), func() bool { return arrives(t, subscribed, node.Client()) })
	}
	all[0].Pause() // its connections stay open
	elsewhere := all[1].Client()
	eventually(t, "events of another node", func() bool { return arrives(t, subscribed, elsewhere) })
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, cfg := range []redisdial.Config{
		{URL: "redis://a:1"},
		{URL: "redis://a"},
		{URL: "rediss://u:p@[::1]:6379/3"},
		{URL: "redis://u:p@a:1,b:2,[::1]:3/1", Mode: redisdial.Sentinel, MasterName: "m"},
		{URL: "redis://a,b", Mode: redisdial.Cluster},
	} {
		if err := cfg.Check(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for _, cfg := range []redisdial.Config{
		{URL: "http://a"},
		{URL: "redis://a:1,b:2"},
		{URL: "redis://a/x"},
		{URL: "redis://a", Mode: redisdial.Sentinel},
		{URL: "redis://a/1", Mode: redisdial.Cluster},
		{URL: "redis://a?db=0", Mode: redisdial.Cluster},
		{URL: "redis://a:1,u:hunter2@b:2", Mode: redisdial.Cluster},
		{URL: "redis://" + strings.Repeat("a,", 40) + "a", Mode: redisdial.Cluster},
		{URL: "rediss://a", TLS: tlsfiles.Files{CA: "/nonexistent"}},
		{URL: "rediss://a", TLS: tlsfiles.Files{Cert: "/nonexistent"}},
	} {
		if err := cfg.Check(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: error %v", cfg, err)
		}
	}
}
