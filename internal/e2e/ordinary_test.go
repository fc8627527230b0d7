package e2e_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// connection is what a client knows of itself when it connects.
type connection struct {
	ID        string
	Recovered bool
}

// Clients that ask for a session that they cannot have are connected all the
// same, as new ones, and everything works.
func TestOrdinaryConnect(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "NATS_LISTEN": "127.0.0.1:0"})
	forgetful := startGateway(t, settings{"ROLES": "fanout", "NATS_URL": natsURL(server), "SOCKET_RECOVERY_TTL": "0"})
	producer := startOutbox(t, redis.Client())
	nodes := startDriver(t)
	type auth = map[string]any // takes the place of what the client itself would send
	tests := []struct {
		name    string
		server  *gateway
		version int
		auth    auth
	}{
		{"sessions are not kept", forgetful, 4, nil},
		{"version 3 knows no sessions", server, 3, nil},
		{"unknown pid", server, 4, auth{"pid": "AAAAAAAAAAAAAAAAAAAAAA"}},
		{"pid of another shape", server, 4, auth{"pid": "../NOVEL.>"}},
		{"pid with a newline", server, 4, auth{"pid": "AAAAAAAAAAAAAAAAAAAAA\n"}},
		{"no pid", server, 4, auth{"pid": ""}},
		{"huge pid", server, 4, auth{"pid": strings.Repeat("A", 100_000)}},
		{"pid that is no string", server, 4, auth{"pid": auth{"$ne": nil}}},
		{"offset of another service", server, 4, auth{"offset": "1700000000000-0"}},
		{"offset without an epoch", server, 4, auth{"offset": ":AAAAAAAA=1"}},
		{"offset of another job", server, 4, auth{"offset": "0123456789abcdef:AAAAAAAA=1"}},
		{"offset out of range", server, 4, auth{"offset": "0123456789abcdef:AAAAAAAA=18446744073709551616"}},
		{"huge offset", server, 4, auth{"offset": "e:" + strings.Repeat("AAAAAAAA=1,", 10_000)}},
		{"offset that is no string", server, 4, auth{"offset": 17}},
	}
	const burst = 5
	publish := func() {
		for range burst {
			producer.send("ordinary")
		}
		producer.settle()
	}
	publish()
	clients := make([]*client, len(tests))
	journals := make([]journal, len(tests))
	first := make([]connection, len(tests))
	for i, test := range tests {
		var some options
		if test.auth != nil {
			some = options{"auth": test.auth}
		}
		c := nodes.openVersion(test.version, test.name, test.server.url("/"), some)
		clients[i], journals[i].jobID = c, "ordinary"
		c.await("connect").into(t, &first[i])
		c.subscribe("ordinary", nil)
		journals[i].follow(c, burst)
		c.await(messaging.EventCaughtUp)
		c.do("cut")
	}
	publish()
	for i, c := range clients {
		var second connection
		c.await("connect").into(t, &second)
		if second.Recovered || second.ID == first[i].ID {
			t.Errorf("%s: connected as %+v, and before as %+v", c.name, second, first[i])
		}
		c.subscribe("ordinary", journals[i].since())
	}
	publish()
	for i, c := range clients {
		journals[i].follow(c, 3*burst)
		journals[i].finish(c, producer.storedOf("ordinary"))
	}
}

// Without sessions an event is what it was before there were any.
func TestEventsWithoutSessions(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "SOCKET_RECOVERY_TTL": "0"})
	producer := startOutbox(t, redis.Client())
	c := startDriver(t).connect("a", server.url("/"))
	c.subscribe("plain", nil)
	producer.send("plain")
	for seen := false; !seen; {
		e := c.next()
		if len(e.Args) != 1 {
			t.Errorf("%s has %d arguments, want 1", e, len(e.Args))
		}
		seen = carriesRecord(e)
	}
}

var errStillKept = errors.New("the session is still kept")

// A client that is away for longer than a session is kept comes back as a new
// one. The session of a client that stays does not expire, however long it is.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	// The time also bounds the break of the client that is recovered.
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "NATS_LISTEN": "127.0.0.1:0", "SOCKET_RECOVERY_TTL": "10s"})
	producer := startOutbox(t, redis.Client())
	visitors := visit(t, server, "websocket", "polling")
	leaves, stays := visitors[0], visitors[1]
	leaves.watch("expiry")
	stays.watch("expiry")
	leaves.network.down()
	leaves.parted()
	producer.send("expiry")

	conn, err := nats.Connect(natsURL(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	log, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(want uint64) func() error {
		return func() error {
			bucket, err := log.Stream(t.Context(), "KV_NOVEL_SESSIONS")
			if err != nil {
				return err
			}
			if bucket.CachedInfo().State.Msgs != want {
				return errStillKept
			}
			return nil
		}
	}
	eventually(t, "the session that was left has expired", kept(1))

	// The one that has stayed is recovered.
	stays.network.down()
	stays.parted()
	stays.network.up(server)
	stays.reconnected()
	producer.send("expiry")

	// The other one is not, and resumes by itself.
	leaves.network.up(server)
	var back connection
	leaves.await("connect").into(t, &back)
	if back.Recovered || back.ID == leaves.id {
		t.Errorf("connected as %+v, and before as %s", back, leaves.id)
	}
	producer.settle()
	late := leaves.journal("expiry")
	leaves.subscribe("expiry", nil)
	late.follow(leaves.client, 2)
	late.finish(leaves.client, producer.stored())
	stays.finish(producer)
}
