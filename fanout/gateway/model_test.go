package gateway_test

import (
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
// wrong between them. Its oracle keeps all that was ever stored: see
// oracle.judge.
type model struct {
	log     *memoryLog
	oracle  *oracle
	stages  []*stage
	viewers []*viewer
	release []func() // of the tails that are held
}

var modelJobs = []string{"a", "b", "c"}

// TestModel publishes, loses, subscribes, resumes, leaves, slows down, breaks
// stores, removes records and restores the log in random order. Whenever all is
// mended and quiet, every subscription has had what was due to it, in order, once,
// and has been told of a gap where history is gone, and nowhere else.
//
// It goes on until it has taken modelSteps steps.
func TestModel(t *testing.T) {
	t.Parallel()
	count := tally{gaps: make(map[string]int)}
	for count.steps < modelSteps {
		checkModel(t, &count)
	}
	t.Logf("%d steps, gaps by reason: %v", count.steps, count.gaps)
	for _, reason := range []messaging.GapReason{messaging.GapEpoch, messaging.GapRetention} {
		if count.gaps[string(reason)] == 0 {
			t.Errorf("nobody was told of a gap by %s", reason)
		}
	}
}

// tally counts what all runs of the model did.
type tally struct {
	steps int
	gaps  map[string]int // true ones that clients were told of, by reason
}

// checkModel takes one round of sequences of steps, and counts these.
func checkModel(t *testing.T, count *tally) {
	rapid.Check(t, func(rt *rapid.T) {
		var cause any // rapid fails and skips by a panic, which must not end the bubble's goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { cause = recover() }()
			m := newModel(t)
			defer m.stop()
			m.oracle.gaps = count.gaps
			rt.Repeat(counted(m.actions(), &count.steps))
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
	log := newMemoryLog()
	m := &model{log: log, oracle: newOracle(log)}
	for i := range 2 {
		m.stages = append(m.stages, setup(t, options{
			cacheBytes: int64(i) << 20, // the other one has none
			log:        m.log, pipe: true, catchUp: modelLimit,
			config: unhurried,
			sockets: func(c *socketio.Config) {
				c.QueueBytes = 4 << 10
				c.WriteTimeout, c.PingInterval = 24*time.Hour, 24*time.Hour // a slow viewer may pause for long
			},
		}))
		m.release = append(m.release, func() {})
	}
	for i := range 3 {
		v := &viewer{oracle: m.oracle, log: m.log, runs: make(map[string]*run), asked: make(map[string][]*run)}
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
				m.oracle.publish(job)
			}
		},
		"lose live records": func(rt *rapid.T) {
			rate, random := rapid.IntRange(0, 4).Draw(rt, "of 4"), rand.New(rand.NewPCG(1, rapid.Uint64().Draw(rt, "seed")))
			s := m.stages[stageOf(rt)]
			s.tail.lose(func(live messaging.Live) bool {
				lost := random.IntN(4) < rate
				if lost {
					m.oracle.miss(s, live.Record)
				}
				return lost
			})
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
			position := messaging.Position{Epoch: m.log.epoch}
			if known := m.oracle.jobs[job]; len(known) > 0 && rapid.Bool().Draw(rt, "from the middle") {
				position = rapid.SampledFrom(known).Draw(rt, "since").Position // also of what is gone
			}
			viewerOf(rt).subscribe(rt, job, &position)
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
		"retain the newest": func(rt *rapid.T) {
			first := rapid.Uint64Range(m.log.first, m.log.last+1).Draw(rt, "first")
			m.oracle.remove(func(l *memoryLog) { l.retain(first) })
		},
		"purge the log": func(*rapid.T) {
			m.oracle.remove(func(l *memoryLog) { l.retain(l.last + 1) })
		},
		"purge a job": func(rt *rapid.T) { m.oracle.purge(jobOf(rt)) },
		"restore a backup": func(rt *rapid.T) {
			m.oracle.restore(rapid.Uint64Range(0, m.log.last).Draw(rt, "up to"))
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
	m.oracle.settle()
}
