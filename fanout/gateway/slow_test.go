package gateway_test

import (
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// metric returns the value of a counter or gauge, summed over its labels.
func (s *stage) metric(name string) float64 {
	s.t.Helper()
	return gathered(s.t, s.registry, name)
}

func gathered(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// byLabel returns the values of a counter by those of its only label.
func (s *stage) byLabel(name string) map[string]float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				values[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return values
}

// TestSlowClient: a client that stops reading falls back to reading the history
// at its own pace, and gets everything. Nobody else is held up, and nothing is
// buffered without end.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	const stored = 3000
	for _, test := range []struct {
		name string
		open func(s *stage) client
	}{
		{"socket", func(s *stage) client {
			c := s.connectFrom("", 1)
			c.subscribe("job")
			return c
		}},
		{"stream", func(s *stage) client { return s.stream("job", "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{pipe: true, sockets: func(c *socketio.Config) { c.QueueBytes = 32 << 10 }})
			fast, slow := s.watch("job", 0), test.open(s)
			expect(t, slow, messaging.EventCaughtUp)
			for range stored / 10 { // a burst no client can fall behind in, but one that does not read
				for range 10 {
					s.log.append(record("job", 500))
				}
				for _, c := range fast {
					for range 10 {
						c.next()
					}
				}
			}
			if s.metric("realtime_fanout_fallbacks_total") == 0 {
				t.Error("the slow client never fell back")
			}
			expectEvents(t, slow, span(1, stored)...)
			s.log.publish("job", 1)
			for _, c := range append(fast, slow) {
				expectEvents(t, c, stored+1)
			}
		})
	}
}

// TestSlowClientOfAQuietJob: the log has removed what lies between a job's last
// event and its next ones, which were all another job's. A client that was live
// all the time has missed nothing, and is told of no gap when it has to read.
func TestSlowClientOfAQuietJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, withoutDB: true, sockets: func(c *socketio.Config) { c.QueueBytes = 8 << 10 }})
		c := s.connectFrom("", 1)
		c.subscribe("job")
		expect(t, c, messaging.EventCaughtUp)
		s.log.publish("job", 10)            // the client takes two or three of these, and no more
		s.log.append(record("job", 30_000)) // fits in, and fills the queue
		synctest.Wait()
		s.log.publish("other", 1000)
		s.log.set(func(l *memoryLog) { l.retain(900) })
		if s.metric("realtime_fanout_fallbacks_total") > 0 {
			t.Fatal("fell back too early")
		}
		s.log.publish("job", 300) // more than the room remembers
		synctest.Wait()
		if s.metric("realtime_fanout_fallbacks_total") == 0 {
			t.Error("the slow client never fell back")
		}
		expectEvents(t, c, append(span(1, 11), span(1012, 1311)...)...)
	})
}

// TestSlowClientOfManyJobs: one socket, many jobs, stop and go. Each job is in
// order and complete.
func TestSlowClientOfManyJobs(t *testing.T) {
	t.Parallel()
	s := setup(t, options{pipe: true, sockets: func(c *socketio.Config) { c.QueueBytes = 8 << 10 }})
	jobs := []string{"a", "b", "c", "d", "e"}
	c := s.connectFrom("", 1)
	for _, job := range jobs {
		c.subscribe(job)
		expect(t, c, messaging.EventCaughtUp)
	}
	got := map[string][]uint64{}
	taken := 0
	for round := range 20 {
		for _, job := range jobs {
			for range 20 {
				s.log.append(record(job, 200))
			}
		}
		for range 10 * round {
			m := c.next()
			got[m.JobID] = append(got[m.JobID], m.Sequence)
			taken++
		}
	}
	for ; taken < 20*20*len(jobs); taken++ {
		m := c.next()
		got[m.JobID] = append(got[m.JobID], m.Sequence)
	}
	for _, job := range jobs {
		sameSequences(t, got[job], s.log.sequences(job, 0))
	}
}

// TestUnsubscribeWhileFull: nothing of the job follows the answer, though the
// queue was full and the catch-up not over.
func TestUnsubscribeWhileFull(t *testing.T) {
	t.Parallel()
	s := setup(t, options{pipe: true, sockets: func(c *socketio.Config) { c.QueueBytes = 8 << 10 }})
	s.log.publish("job", 2000)
	for range 50 {
		c := s.connectFrom("", 1)
		c.resume("job", 0)
		c.next()
		c.emit("unsubscribe", request{JobID: "job"})
		var last uint64
		for m := c.next(); m.Name != messaging.EventUnsubscribed; m = c.next() {
			if m.Sequence != last+1 && last > 0 {
				t.Fatalf("sequence %d after %d", m.Sequence, last)
			}
			last = m.Sequence
		}
		if last == 2000 {
			t.Fatal("the whole catch-up came; nothing was interrupted")
		}
		s.log.publish("job", 1)
		c.emit("ping")
		expect(t, c, messaging.EventPong)
		c.close()
	}
}
