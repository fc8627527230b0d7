package fanout_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// modelLimit is the catch-up of a fresh subscription in the model.
const modelLimit = 15

// modelSteps is how many steps every run of the model takes at least.
const modelSteps = 10_000

// model is two gateways on one log, a few viewers on either, and what may go
// wrong between them. Its oracle is the log itself: see viewer.verify.
type model struct {
	log     *memoryLog
	stages  []*stage
	viewers []*viewer
	release []func() // of the tails that are held
	// settled counts each job's events when all was quiet last. Since then a
	// gateway may not have heard of any.
	settled map[string]int
}

var modelJobs = []string{"a", "b", "c"}

// TestModel publishes, loses, subscribes, resumes, leaves, slows down and breaks
// stores in random order. Whenever all is mended and quiet, every subscription
// has had what was due to it, in order, once.
//
// It goes on until it has taken modelSteps steps.
func TestModel(t *testing.T) {
	t.Parallel()
	steps := 0
	for steps < modelSteps {
		checkModel(t, &steps)
	}
	t.Logf("%d steps", steps)
}

// checkModel takes one round of sequences of steps, and counts these.
func checkModel(t *testing.T, steps *int) {
	rapid.Check(t, func(rt *rapid.T) {
		var cause any // rapid fails and skips by a panic, which must not end the bubble's goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { cause = recover() }()
			m := newModel(t)
			defer m.stop()
			rt.Repeat(counted(m.actions(), steps))
			m.settle(rt)
		})
		if cause != nil {
			panic(cause)
		}
	})
}

// counted makes every action count itself.
func counted(actions map[string]func(*rapid.T), steps *int) map[string]func(*rapid.T) {
	for name, action := range actions {
		actions[name] = func(rt *rapid.T) {
			*steps++
			action(rt)
		}
	}
	return actions
}

func newModel(t *testing.T) *model {
	m := &model{log: newMemoryLog(), settled: make(map[string]int)}
	for range 2 {
		m.stages = append(m.stages, setup(t, options{
			log: m.log, pipe: true, catchUp: modelLimit,
			config: unhurried,
			sockets: func(c *socketio.Config) {
				c.QueueBytes = 4 << 10
				c.WriteTimeout, c.PingInterval = 24*time.Hour, 24*time.Hour // a slow viewer may pause for long
			},
		}))
		m.release = append(m.release, func() {})
	}
	for i := range 3 {
		v := &viewer{model: m, log: m.log, runs: make(map[string]*run), asked: make(map[string][]*run)}
		v.connect(m.stages[i%2])
		m.viewers = append(m.viewers, v)
	}
	return m
}

func (m *model) stop() {
	for _, v := range m.viewers {
		v.disconnect()
	}
	for _, s := range m.stages {
		s.stop()
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	stageOf := func(rt *rapid.T) int { return rapid.IntRange(0, 1).Draw(rt, "gateway") }
	viewerOf := func(rt *rapid.T) *viewer { return m.viewers[rapid.IntRange(0, len(m.viewers)-1).Draw(rt, "viewer")] }
	jobOf := func(rt *rapid.T) string { return rapid.SampledFrom(modelJobs).Draw(rt, "job") }
	return map[string]func(*rapid.T){
		"publish": func(rt *rapid.T) {
			job := jobOf(rt)
			for range rapid.IntRange(1, 60).Draw(rt, "n") {
				m.log.append(record(job, 100))
			}
		},
		"lose live records": func(rt *rapid.T) {
			rate, random := rapid.IntRange(0, 4).Draw(rt, "of 4"), rand.New(rand.NewPCG(1, rapid.Uint64().Draw(rt, "seed")))
			m.stages[stageOf(rt)].tail.lose(func(messaging.Live) bool { return random.IntN(4) < rate })
		},
		"hold live records": func(rt *rapid.T) {
			n := stageOf(rt)
			m.release[n]()
			m.release[n] = m.stages[n].tail.hold()
		},
		"release live records": func(rt *rapid.T) { m.release[stageOf(rt)]() },
		"disrupt":              func(rt *rapid.T) { m.stages[stageOf(rt)].hub.Disrupted(messaging.DisruptionReconnect) },
		"subscribe": func(rt *rapid.T) {
			viewerOf(rt).subscribe(rt, jobOf(rt), nil)
		},
		"resume anywhere": func(rt *rapid.T) {
			job := jobOf(rt)
			since := uint64(0)
			if stored := m.log.sequences(job, 0); len(stored) > 0 && rapid.Bool().Draw(rt, "from the middle") {
				since = rapid.SampledFrom(stored).Draw(rt, "since")
			}
			viewerOf(rt).subscribe(rt, job, &since)
		},
		"unsubscribe": func(rt *rapid.T) { viewerOf(rt).unsubscribe(rt, jobOf(rt)) },
		"move":        func(rt *rapid.T) { viewerOf(rt).move(rt, m.stages[stageOf(rt)]) },
		"slow down":   func(rt *rapid.T) { viewerOf(rt).pause() },
		"speed up":    func(rt *rapid.T) { viewerOf(rt).goOn() },
		"lag the projection": func(rt *rapid.T) {
			m.log.set(func(l *memoryLog) { l.lags = true })
		},
		"let the projection catch up": func(rt *rapid.T) {
			m.log.set(func(l *memoryLog) {
				l.lags = false
				l.project()
			})
		},
		"break MongoDB": func(rt *rapid.T) {
			down := rapid.Bool().Draw(rt, "down")
			m.log.set(func(l *memoryLog) { l.mongoDown = down })
		},
		"fail reads": func(rt *rapid.T) {
			n := rapid.IntRange(1, 5).Draw(rt, "n")
			m.log.set(func(l *memoryLog) { l.failReads = n })
		},
		"blind a replica": func(rt *rapid.T) {
			n := rapid.Uint64Range(0, 20).Draw(rt, "n")
			m.log.set(func(l *memoryLog) { l.blind = n })
		},
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 40_000).Draw(rt, "ms")) * time.Millisecond)
		},
		"settle": m.settle,
	}
}

// settle mends everything, waits until all is quiet, and compares.
func (m *model) settle(rt *rapid.T) {
	for n, s := range m.stages {
		s.tail.lose(nil)
		m.release[n]()
	}
	m.log.set(func(l *memoryLog) { l.mongoDown, l.failReads, l.blind = false, 0, 0 })
	for _, v := range m.viewers {
		v.goOn()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for i, v := range m.viewers {
		if err := v.verify(); err != nil {
			rt.Fatalf("viewer %d: %v", i, err)
		}
	}
	for _, jobID := range modelJobs {
		m.settled[jobID] = len(m.log.sequences(jobID, 0))
	}
}

// run is one subscription as its client sees it.
type run struct {
	fresh  bool
	since  uint64
	stored int  // events of the job that every gateway knew of when it was asked for
	again  bool // asked for although it was there: changes nothing
	got    []uint64
}

// viewer is a client, and what came to it. Between two calls of synctest.Wait
// its fields are the reading goroutine's.
type viewer struct {
	model  *model
	log    *memoryLog
	socket *socketClient
	gate   chan struct{} // when set, nothing is taken until it is closed
	runs   map[string]*run
	asked  map[string][]*run // not yet answered
	broken error
	ended  chan struct{}
}

func (v *viewer) connect(s *stage) {
	v.socket = s.connectFrom("", 1)
	v.ended = make(chan struct{})
	go v.take(v.socket, v.ended) // ends with the socket
}

// disconnect cuts the socket and waits until the viewer knows.
func (v *viewer) disconnect() {
	v.socket.Kill()
	v.goOn()
	<-v.ended
	clear(v.asked)
}

// take keeps what comes. The gate is looked at under the log's lock, which is as
// good as any.
func (v *viewer) take(socket *socketClient, ended chan struct{}) {
	defer close(ended)
	for {
		v.log.mu.Lock()
		gate := v.gate
		v.log.mu.Unlock()
		if gate != nil {
			<-gate
			continue
		}
		event, err := socket.Next(context.Background())
		if err != nil {
			return
		}
		m := decode(socket.t, event)
		v.log.mu.Lock()
		if err := v.note(m); err != nil && v.broken == nil {
			v.broken = err
		}
		v.log.mu.Unlock()
	}
}

// note takes one message into account.
func (v *viewer) note(m message) error {
	switch {
	case m.Name == messaging.EventSubscribed:
		next := v.asked[m.JobID][0]
		v.asked[m.JobID] = v.asked[m.JobID][1:]
		if !next.again || v.runs[m.JobID] == nil {
			v.runs[m.JobID] = next
		}
	case m.Name == messaging.EventUnsubscribed:
		delete(v.runs, m.JobID)
	case m.Name == messaging.EventCaughtUp && v.runs[m.JobID] != nil:
	case m.isEvent() && v.runs[m.JobID] != nil:
		v.runs[m.JobID].got = append(v.runs[m.JobID].got, m.Sequence)
	default:
		return fmt.Errorf("unexpected %s %s", m.Name, m.Raw)
	}
	return nil
}

// subscribe asks for a job; since is nil for the newest events.
func (v *viewer) subscribe(rt *rapid.T, jobID string, since *uint64) {
	synctest.Wait()
	next := &run{fresh: since == nil, again: since == nil, stored: v.model.settled[jobID]}
	if since != nil {
		next.since = *since
	}
	v.log.set(func(*memoryLog) { v.asked[jobID] = append(v.asked[jobID], next) })
	if err := v.socket.Emit("subscribe", request{JobID: jobID, Since: since}); err != nil {
		rt.Fatal(err)
	}
}

func (v *viewer) unsubscribe(rt *rapid.T, jobID string) {
	if err := v.socket.Emit("unsubscribe", request{JobID: jobID}); err != nil {
		rt.Fatal(err)
	}
}

// move cuts the socket, and comes back at a gateway with what it has.
func (v *viewer) move(rt *rapid.T, s *stage) {
	v.disconnect()
	if err := v.verifyOrder(); err != nil {
		rt.Fatal(err)
	}
	runs := v.runs
	v.runs = make(map[string]*run)
	v.connect(s)
	for jobID, old := range runs {
		switch {
		case len(old.got) > 0:
			v.subscribe(rt, jobID, &old.got[len(old.got)-1])
		case old.fresh:
			v.subscribe(rt, jobID, nil)
		default:
			v.subscribe(rt, jobID, &old.since)
		}
	}
}

// pause stops taking events: one waits here, some in the server's queue.
func (v *viewer) pause() {
	v.log.set(func(*memoryLog) {
		if v.gate == nil {
			v.gate = make(chan struct{})
		}
	})
}

func (v *viewer) goOn() {
	v.log.set(func(*memoryLog) {
		if v.gate != nil {
			close(v.gate)
			v.gate = nil
		}
	})
}

// verify holds what came against the log, when nothing is under way.
func (v *viewer) verify() error {
	for jobID, asked := range v.asked {
		if len(asked) > 0 {
			return fmt.Errorf("job %s: %d requests were not answered", jobID, len(asked))
		}
	}
	if err := v.verifyOrder(); err != nil {
		return err
	}
	for jobID, r := range v.runs {
		due := v.log.sequences(jobID, r.since)
		if len(due) > 0 && lastOf(r.got) != lastOf(due) {
			return fmt.Errorf("job %s: the last event is %d, want %d", jobID, lastOf(r.got), lastOf(due))
		}
	}
	return nil
}

// verifyOrder checks that what came is a run of the log without a gap or a
// repeat, from where it had to begin.
func (v *viewer) verifyOrder() error {
	if v.broken != nil {
		return v.broken
	}
	for jobID, r := range v.runs {
		due := v.log.sequences(jobID, r.since)
		if r.fresh && len(r.got) > 0 {
			for len(due) > 0 && due[0] < r.got[0] {
				due = due[1:]
			}
			all := len(v.log.sequences(jobID, 0))
			if from := all - len(due); from < r.stored-modelLimit || from > max(0, all-min(all, modelLimit)) {
				return fmt.Errorf("job %s: fresh from event %d of %d, with %d when it was asked for", jobID, from, all, r.stored)
			}
		}
		for i, sequence := range r.got {
			if i >= len(due) || sequence != due[i] {
				return fmt.Errorf("job %s: delivery %d is sequence %d (since %d, %d due)", jobID, i, sequence, r.since, len(due))
			}
		}
	}
	return nil
}
