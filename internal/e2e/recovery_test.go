package e2e_test

import (
	"errors"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// breakage is one way to lose the connection of a client and to bring it back.
type breakage struct {
	name string
	// gateways is how many share one log; with 1 it has the log inside.
	gateways int
	// away takes the connections of all clients, back lets them come again. The
	// first gateway is the one in use: they change places when clients are moved.
	away, back func(gateways []*gateway, visitors []*visitor)
}

func networkDown(_ []*gateway, visitors []*visitor) {
	for _, v := range visitors {
		v.network.down()
	}
}

func networkUp(gateways []*gateway, visitors []*visitor) {
	for _, v := range visitors {
		v.network.up(gateways[0])
	}
}

func moved(gateways []*gateway, visitors []*visitor) {
	gateways[0], gateways[1] = gateways[1], gateways[0]
	networkUp(gateways, visitors)
}

var breakages = []breakage{
	{
		name: "the network is cut", gateways: 1,
		away: networkDown, back: networkUp,
	},
	{
		name: "the gateway does not notice", gateways: 1,
		away: func(_ []*gateway, visitors []*visitor) {
			for _, v := range visitors {
				v.network.strand()
			}
		},
		back: networkUp,
	},
	{
		name: "the gateway is killed", gateways: 1,
		away: func(gateways []*gateway, visitors []*visitor) {
			for _, v := range visitors {
				gateways[0].onDisk(v)
			}
			gateways[0].kill()
		},
		back: func(gateways []*gateway, _ []*visitor) { gateways[0].start() },
	},
	{
		name: "the gateway is killed while the clients are away", gateways: 1,
		away: networkDown,
		back: func(gateways []*gateway, visitors []*visitor) {
			for _, v := range visitors {
				gateways[0].onDisk(v)
			}
			gateways[0].kill()
			gateways[0].start()
			networkUp(gateways, visitors)
		},
	},
	{
		name: "the gateway is restarted in an orderly way", gateways: 1,
		away: func(gateways []*gateway, _ []*visitor) { gateways[0].stop() },
		back: func(gateways []*gateway, _ []*visitor) { gateways[0].start() },
	},
	{
		name: "the next connection is to another gateway", gateways: 2,
		away: networkDown, back: moved,
	},
	{
		name: "the gateway does not notice, and the next connection is to another", gateways: 2,
		away: func(_ []*gateway, visitors []*visitor) {
			for _, v := range visitors {
				v.network.strand()
			}
		},
		back: moved,
	},
	{
		name: "the gateway is killed, and the next connection is to another", gateways: 2,
		away: func(gateways []*gateway, _ []*visitor) { gateways[0].kill() },
		back: func(gateways []*gateway, visitors []*visitor) {
			networkDown(gateways, visitors)
			gateways[0].start() // for the next time
			moved(gateways, visitors)
		},
	},
}

// Clients that know nothing of recovery get their session back, with every event
// that they missed, in order and once, over each transport and from whatever
// parted them from their gateway: in the middle of a burst, after more events
// than any buffer holds, for a job of which they had received nothing yet, and
// when they are parted again at once.
func TestRecovery(t *testing.T) {
	t.Parallel()
	const (
		burst = 20
		// many is more than a subscription without a position is replayed, and than
		// the gateway keeps of a job in memory.
		many = 400
	)
	for _, how := range breakages {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			redis := testkit.StartRedis(t)
			var gateways []*gateway
			if how.gateways == 1 {
				gateways = []*gateway{startGateway(t, settings{"REDIS_URL": redis.URL()})}
			} else {
				gateways = startCluster(t, redis.URL(), how.gateways)
			}
			producer := startOutbox(t, redis.Client())
			publish := func(jobID string, n int) {
				for range n {
					producer.send(jobID)
				}
			}
			publish("busy", burst)
			producer.settle()
			visitors := visit(t, gateways[0])
			for _, v := range visitors {
				v.watch("busy")
				v.watch("quiet")
			}
			away := func() {
				how.away(gateways, visitors)
				for _, v := range visitors {
					v.parted()
				}
			}
			back := func() { how.back(gateways, visitors) }
			reconnected := func() {
				for _, v := range visitors {
					v.reconnected()
				}
			}

			// In the middle of a burst.
			publish("busy", burst)
			away()
			publish("busy", burst)
			back()
			publish("busy", burst)
			reconnected()
			for _, v := range visitors {
				v.follow("busy", 4*burst)
			}

			// For long, and nothing of the quiet job had ever arrived.
			away()
			publish("quiet", many)
			publish("busy", 1)
			back()
			reconnected()

			// Again at once: some have received a part of it, some nothing.
			away()
			publish("quiet", 1)
			back()
			reconnected()

			publish("quiet", burst)
			publish("busy", burst)
			producer.settle()
			for _, v := range visitors {
				v.finish(producer)
			}
			// A stop would wait a while for sessions that nobody comes back to.
			for _, g := range gateways {
				g.kill()
			}
		})
	}
}

var errNotFollowed = errors.New("nobody follows the job")

// Clients that had received nothing at all but the answer to their connect: one
// never subscribes before it is parted, of the other the answer to its subscribe
// is lost.
func TestRecoveryBeforeAnythingArrived(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		name := "the network is cut"
		if killed {
			name = "the gateway is killed"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := testkit.StartRedis(t)
			server := startGateway(t, settings{"REDIS_URL": redis.URL()})
			producer := startOutbox(t, redis.Client())
			silent := visit(t, server)
			unheard := visit(t, server)
			for _, v := range unheard {
				jobID := "unheard over " + v.name
				v.journals = append(v.journals, &journal{jobID: jobID})
				v.upgraded() // which needs an answer
				v.network.mute()
				v.subscribe(jobID, nil)
				eventually(t, "the job is followed", func() error {
					var metrics struct{ SubscribersPerJob map[string]int }
					server.fetch("/internal/realtime/metrics", &metrics)
					if metrics.SubscribersPerJob[jobID] != 1 {
						return errNotFollowed
					}
					return nil
				})
				producer.send(jobID)
			}
			all := append(silent, unheard...)
			if killed {
				for _, v := range all {
					server.onDisk(v)
				}
				server.kill()
			}
			for _, v := range all {
				v.network.down()
				v.parted()
			}
			for _, v := range unheard {
				producer.send(v.journals[0].jobID)
			}
			if killed {
				server.start()
			}
			for _, v := range all {
				v.network.up(server)
			}
			for _, v := range all {
				v.reconnected()
			}
			for _, v := range silent {
				v.watch("silent over " + v.name)
				producer.send("silent over " + v.name)
			}
			producer.settle()
			for _, v := range all {
				v.finish(producer)
			}
			server.kill()
		})
	}
}
