package e2e_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// Clients that follow several busy jobs are moved from one gateway to the other
// and back, again and again, wherever they are in what they receive; every other
// time the gateway that they leave does not notice.
func TestMoveUnderLoad(t *testing.T) {
	t.Parallel()
	const (
		moves = 20
		// progress is how many events a client receives before it is moved again.
		progress = 20
	)
	pace := 2 * time.Millisecond
	if raceDetector {
		pace = 20 * time.Millisecond // what a gateway that is watched can store
	}
	jobs := []string{"prose", "chapters", "cover"}
	redis := testkit.StartRedis(t)
	gateways := startCluster(t, redis.URL(), 2)
	producer := startOutbox(t, redis.Client())
	visitors := visit(t, gateways[0])
	for _, v := range visitors {
		for _, jobID := range jobs {
			v.watch(jobID)
		}
	}

	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { // ends with stop
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				producer.send(jobs[n%len(jobs)])
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
	for move := range moves {
		for _, v := range visitors {
			v.receive(progress)
		}
		for _, v := range visitors {
			if move%2 == 0 {
				v.network.down()
			} else {
				v.network.strand()
			}
			v.parted()
		}
		for _, v := range visitors {
			v.network.up(gateways[(move+1)%2])
			v.reconnected()
		}
	}
	endLoad()
	producer.settle()
	for _, v := range visitors {
		if v.recoveries < moves {
			t.Errorf("client %s: recovered %d times in %d moves", v.name, v.recoveries, moves)
		}
		v.finish(producer)
	}
	t.Logf("%d clients were moved %d times while %d events were published", len(visitors), moves, len(producer.stored()))
	for _, g := range gateways {
		g.kill() // sessions that nobody comes back to would hold up a stop
	}
}

var errNotGone = errors.New("the old connections are still there")

// A gateway that learns late that it has lost a client has no say in the session
// any more: it goes on elsewhere, with other subscriptions.
func TestMoveThatIsNoticedLate(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	gateways := startCluster(t, redis.URL(), 2)
	old, current := gateways[0], gateways[1]
	producer := startOutbox(t, redis.Client())
	v := visit(t, old, "websocket")[0]
	v.watch("first")
	v.network.strand()
	v.parted()
	v.network.up(current)
	v.reconnected()
	v.watch("second")
	v.network.release()
	eventually(t, "the old gateway has noticed", func() error {
		var metrics struct{ TotalConnections int }
		if old.fetch("/internal/realtime/metrics", &metrics); metrics.TotalConnections > 0 {
			return errNotGone
		}
		return nil
	})
	current.kill() // which says no more of the session
	v.parted()
	producer.send("first")
	producer.send("second")
	v.network.up(old)
	v.reconnected()
	producer.settle()
	v.finish(producer)
}
