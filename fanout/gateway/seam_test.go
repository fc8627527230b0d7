package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// TestSeam subscribes while events flow, fresh and from random positions, while
// the tail loses some: from the first event that is due, every later one comes,
// in order, once.
func TestSeam(t *testing.T) {
	t.Parallel()
	s := setup(t, options{catchUp: 20, cacheBytes: 1 << 20})
	random := rand.New(rand.NewPCG(3, 4))
	s.tail.lose(func(live messaging.Live) bool { return live.JobID[0] == 'x' && random.IntN(8) == 0 })
	t.Run("clients", func(t *testing.T) {
		for worker := range 4 {
			t.Run(fmt.Sprintf("socket %d", worker), func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				c := s.connect()
				random := rand.New(rand.NewPCG(5, uint64(worker)))
				for n := range 200 {
					s.seamRound(random, fmt.Sprintf("%c-%d-%d", "ox"[n%2], worker, n), func(jobID, since string) client {
						r := request{JobID: jobID}
						if since != "" {
							var sequence uint64
							fmt.Sscan(since, &sequence)
							r.Since = &sequence
						}
						c.emit("subscribe", r)
						expect(t, c, messaging.EventSubscribed)
						return c
					})
					c.emit("unsubscribe", request{JobID: fmt.Sprintf("%c-%d-%d", "ox"[n%2], worker, n)})
					expect(t, c, messaging.EventUnsubscribed)
				}
			})
		}
		for worker := range 2 {
			t.Run(fmt.Sprintf("stream %d", worker), func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				random := rand.New(rand.NewPCG(6, uint64(worker)))
				for n := range 150 {
					var c *streamClient
					s.seamRound(random, fmt.Sprintf("%c-s%d-%d", "ox"[n%2], worker, n), func(jobID, since string) client {
						c = s.stream(jobID, since)
						return c
					})
					c.close()
				}
			})
		}
	})
}

// seamRound publishes to a new job, subscribes in the middle of it, and checks
// what comes.
func (s *stage) seamRound(random *rand.Rand, jobID string, subscribe func(jobID, since string) client) {
	s.t.Helper()
	before, during := random.IntN(40), 1+random.IntN(30)
	s.log.publish(jobID, before)
	stored := s.log.sequences(jobID, 0)
	since := ""
	switch random.IntN(3) {
	case 0:
		since = "0"
	case 1:
		if before > 0 {
			since = fmt.Sprint(stored[random.IntN(before)])
		}
	}
	pauses := random.IntN(3)
	last := make(chan uint64, 1)
	go func() { // ends when all is published
		for i := range during - 1 {
			s.log.publish(jobID, 1)
			switch {
			case pauses == 1:
				runtime.Gosched()
			case pauses == 2 && i%4 == 0:
				time.Sleep(50 * time.Microsecond)
			}
		}
		last <- s.log.publish(jobID, 1)
	}()
	c := subscribe(jobID, since)
	var got []uint64
	caughtUp := false
	for end := uint64(0); !caughtUp || lastOf(got) < end; {
		switch m := c.next(); {
		case m.Name == messaging.EventCaughtUp && !caughtUp:
			caughtUp = true
			if upTo := max(m.From, lastOf(got)); m.To < upTo {
				s.t.Fatalf("caught up to %d after sequence %d", m.To, upTo)
			}
		case m.isEvent() && m.JobID == jobID:
			got = append(got, m.Sequence)
		default:
			s.t.Fatalf("job %s: got %s %s", jobID, m.Name, m.Raw)
		}
		if caughtUp && end == 0 {
			end = <-last
		}
	}
	due := s.log.sequences(jobID, 0)
	if since != "" {
		var after uint64
		fmt.Sscan(since, &after)
		due = s.log.sequences(jobID, after)
	} else if before > 0 {
		// A fresh subscription gets the newest 20 of some moment in the middle.
		oldest := max(0, len(due)-20)
		earliest := max(0, before-20)
		from := len(due) - len(got)
		if from < earliest || from > oldest {
			s.t.Fatalf("fresh from event %d, want between %d and %d", from, earliest, oldest)
		}
		due = due[from:]
	} else {
		due = due[max(0, len(due)-len(got)):]
		if len(got) < min(20, during) {
			s.t.Fatalf("%d events of %d", len(got), during)
		}
	}
	sameSequences(s.t, got, due)
}

func lastOf(sequences []uint64) uint64 {
	if len(sequences) == 0 {
		return 0
	}
	return sequences[len(sequences)-1]
}

// TestClientMovesBetweenGateways: two hubs on one log; a client that is killed
// comes back at the other with the last sequence it has, under load.
func TestClientMovesBetweenGateways(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	stages := []*stage{setup(t, options{log: log}), setup(t, options{log: log, cacheBytes: 1 << 20})}
	stages[0].publishUntilTheEnd("job")
	var got []uint64
	random := rand.New(rand.NewPCG(7, 8))
	for move := range 40 {
		c := stages[move%2].connect()
		c.resume("job", lastOf(got))
		for range 1 + random.IntN(60) {
			for m := c.next(); ; m = c.next() {
				if m.isEvent() {
					got = append(got, m.Sequence)
					break
				}
				if m.Name != messaging.EventCaughtUp {
					t.Fatalf("got %s %s", m.Name, m.Raw)
				}
			}
		}
		c.Kill()
	}
	sameSequences(t, got, log.sequences("job", 0)[:len(got)])
}
