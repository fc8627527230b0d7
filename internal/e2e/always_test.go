package e2e_test

import (
	"fmt"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// Many applications subscribe on every connect, with or without the position that
// they have come to. After a recovery that adds nothing: what was missed comes
// once.
func TestSubscribingOnEveryConnect(t *testing.T) {
	t.Parallel()
	const burst, breaks = 20, 4
	for _, since := range []bool{false, true} {
		t.Run(fmt.Sprintf("since=%t", since), func(t *testing.T) {
			t.Parallel()
			redis := testkit.StartRedis(t)
			server := startGateway(t, settings{"REDIS_URL": redis.URL()})
			producer := startOutbox(t, redis.Client())
			publish := func() {
				for range burst {
					producer.send("a")
					producer.send("b")
				}
			}
			publish()
			producer.settle()
			visitors := visitWith(t, server, &always{Jobs: []string{"a", "b"}, Since: since})
			for n := range breaks {
				for _, v := range visitors {
					v.follow("a", len(producer.storedOf("a")))
					v.follow("b", len(producer.storedOf("b")))
					v.network.down()
					v.parted()
				}
				publish()
				if n%2 == 0 { // else it goes on while they come back
					producer.settle()
				}
				for _, v := range visitors {
					v.network.up(server)
				}
				for _, v := range visitors {
					v.reconnected()
					answered := 0
					for answered < 2 {
						e := v.next()
						if v.take(e); e.Name == messaging.EventSubscribed {
							answered++
						}
					}
				}
				producer.settle()
			}
			for _, v := range visitors {
				v.finish(producer)
			}
			server.kill() // sessions that nobody comes back to would hold up a stop
		})
	}
}
