package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/projections"
)

// canaryTimeout bounds the exercise of one backend; asking the log for its settings after one
// that failed takes half of it at most.
const canaryTimeout = 4 * time.Second

// consumerPatience is for how long a projection's consumer may stand still: one batch of a
// slow MongoDB takes less.
const consumerPatience = 30 * time.Second

// leg is one backend, or one way through the gateway, and what exercises it.
type leg struct {
	// name is the name of the part in health, and the label of the metrics.
	name     string
	exercise func(ctx context.Context, text string, well time.Duration) error
	// needs are the legs without which this one says nothing: it is exercised after them,
	// and only while they pass.
	needs []string
}

// canary exercises what the service needs of each backend, on a pace: not whether it
// answers, but whether it does what is needed, and whether what it takes is handed on. What
// it writes is seen by nobody: no event of a job, no document of a job, no message to a
// client.
type canary struct {
	legs     []leg
	interval time.Duration // between two runs
	logger   *slog.Logger
	failing  *prometheus.GaugeVec
	seconds  *prometheus.GaugeVec
	runs     *prometheus.CounterVec

	mu sync.Mutex // guards the fields below
	// failures has an entry for each leg whose last run failed, and logged the causes of
	// its outage that were logged.
	failures map[string]error
	logged   map[string][]string
	// well is since when a leg has passed each time.
	well map[string]time.Time
}

func newCanary(interval time.Duration, logger *slog.Logger, registerer prometheus.Registerer) (*canary, error) {
	c := &canary{
		interval: interval, logger: logger, failures: make(map[string]error), logged: make(map[string][]string),
		well: make(map[string]time.Time),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_app_canary_failing",
			Help: "1 while a backend does not do what is needed, or what it takes is not handed on, by the part and the cause.",
		}, []string{"leg", "cause"}),
		seconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_app_canary_seconds", Help: "How long the last exercise of a backend, or of a way between backends, took.",
		}, []string{"leg"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_app_canary_runs_total", Help: "How often a backend, or a way between backends, was exercised.",
		}, []string{"leg"}),
	}
	return c, errors.Join(registerer.Register(c.failing), registerer.Register(c.seconds), registerer.Register(c.runs))
}

// add adds a leg, before run.
func (c *canary) add(name string, exercise func(ctx context.Context, text string) error) {
	c.addAfter(name, nil, func(ctx context.Context, text string, _ time.Duration) error { return exercise(ctx, text) })
}

// addAfter adds a leg that needs others, which were added before it. exercise is given for
// how long all of them have passed.
func (c *canary) addAfter(name string, needs []string, exercise func(ctx context.Context, text string, well time.Duration) error) {
	c.legs = append(c.legs, leg{name, exercise, needs})
	c.seconds.WithLabelValues(name)
	c.runs.WithLabelValues(name)
	for _, cause := range causeLabels() {
		c.failing.WithLabelValues(name, cause)
	}
}

// run exercises every leg at once and then on the pace, until ctx ends.
func (c *canary) run(ctx context.Context) error {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		for _, dependent := range []bool{false, true} {
			var legs sync.WaitGroup
			for _, leg := range c.legs {
				if len(leg.needs) > 0 == dependent {
					legs.Go(func() { c.exercise(ctx, leg) }) // bounded by a few canaryTimeout
				}
			}
			legs.Wait()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// exercise exercises a leg and notes the outcome, unless one that it needs fails.
func (c *canary) exercise(ctx context.Context, leg leg) {
	well, judged := c.wellFor(leg.needs)
	if !judged {
		return
	}
	began := time.Now()
	err := attempt(ctx, leg, well)
	took := time.Since(began)
	if err != nil {
		for _, other := range c.legs { // One that it needs may have failed since.
			if slices.Contains(leg.needs, other.name) && attempt(ctx, other, 0) != nil {
				return
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	defer c.runs.WithLabelValues(leg.name).Inc() // after the gauges
	c.seconds.WithLabelValues(leg.name).Set(took.Seconds())
	label := causeLabel(err)
	for _, cause := range causeLabels() {
		value := 0.0
		if err != nil && cause == label {
			value = 1
		}
		c.failing.WithLabelValues(leg.name, cause).Set(value)
	}
	outage, ended := c.note(leg.name, label, err)
	switch {
	case outage && len(leg.needs) > 0:
		c.logger.Error("what a backend takes is not handed on", "part", leg.name, "cause", label, "error", err)
	case outage:
		c.logger.Error("a backend does not do what is needed", "part", leg.name, "cause", label, "error", err)
	case ended && len(leg.needs) > 0:
		c.logger.Info("what a backend takes is handed on again", "part", leg.name)
	case ended:
		c.logger.Info("a backend does what is needed again", "part", leg.name)
	}
}

// attempt exercises a leg once, within canaryTimeout.
func attempt(ctx context.Context, leg leg, well time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	return leg.exercise(ctx, "canary-"+rand.Text(), well)
}

// wellFor returns for how long legs have all passed. It reports false when one has failed,
// or was not exercised yet.
func (c *canary) wellFor(names []string) (well time.Duration, passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since time.Time
	for _, name := range names {
		at, found := c.well[name]
		if !found {
			return 0, false
		}
		if at.After(since) {
			since = at
		}
	}
	return time.Since(since), true
}

// note takes in the outcome of an exercise. It reports whether a cause has begun in this
// outage of the backend, as one that cannot be reached may turn out to refuse the
// password, and whether the outage has ended. The edit of a stream is logged where the
// settings are compared.
func (c *canary) note(leg, label string, err error) (began, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		if _, passed := c.well[leg]; !passed {
			c.well[leg] = time.Now()
		}
		ended = len(c.logged[leg]) > 0
		delete(c.failures, leg)
		delete(c.logged, leg)
		return false, ended
	}
	delete(c.well, leg)
	c.failures[leg] = err
	if errors.Is(err, errEdited) || slices.Contains(c.logged[leg], label) {
		return false, false
	}
	c.logged[leg] = append(c.logged[leg], label)
	return true, false
}

// failure returns why the last exercise of a leg failed, as a degradation; nil when it
// did not, or there was none yet.
func (c *canary) failure(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failures[name]; err != nil {
		return degradation{err}
	}
	return nil
}

// degradation is what is wrong with a part, required or not, that goes on in part.
type degradation struct{ error }

func (d degradation) Unwrap() error { return d.error }

// canaryCauses are the causes that have a name in the metrics, beside the
// [backends.Reasons] for which there is no connection; the last stands for every other.
var canaryCauses = []struct {
	label string
	is    error
}{
	{"replica", ingest.ErrReplica},
	{"sentinel", ingest.ErrSentinel},
	{"subscribe-forbidden", ingest.ErrSubscribe},
	{"receipts", ingest.ErrReceipts},
	{"ping", ingest.ErrPing},
	{"edited", errEdited},
	{"forbidden", eventstore.ErrForbidden},
	{"stands", errStands},
	{"timeout", context.DeadlineExceeded},
	{"refused", nil},
}

// causeLabels returns every label of a cause.
func causeLabels() []string {
	var labels []string
	for _, reason := range backends.Reasons() {
		labels = append(labels, string(reason))
	}
	for _, cause := range canaryCauses {
		labels = append(labels, cause.label)
	}
	return labels
}

func causeLabel(err error) string {
	if reason := backends.ReasonOf(err); reason != "" {
		return string(reason)
	}
	for _, cause := range canaryCauses {
		if cause.is != nil && errors.Is(err, cause.is) {
			return cause.label
		}
	}
	return canaryCauses[len(canaryCauses)-1].label
}

// errEdited is matched when the settings of the event stream were edited.
var errEdited = errors.New("the log's settings")

// errStands is matched when the backends do what is needed, and something in between hands
// nothing on.
var errStands = errors.New("it stands still")

// stands makes an error of a part one that is errStands.
func stands(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errStands, err)
}

// startCanary exercises the backends that are configured.
func (a *App) startCanary() {
	a.canary.add("log", func(ctx context.Context, text string) error {
		if a.log.Flawed() != nil {
			// An outage is not hidden by an edit that was seen before it.
			if err := a.askLog(ctx); err != nil {
				return cmp.Or(a.log.Exercise(ctx, text), err)
			}
		} else {
			failure := a.log.Exercise(ctx, text)
			if failure == nil {
				return nil
			}
			// The settings are compared once a second: the edit may be newer. The exercise
			// of a stream that does not acknowledge has used up its own time.
			if errors.Is(ctx.Err(), context.Canceled) || a.askLog(context.WithoutCancel(ctx)) != nil {
				return failure
			}
			if a.log.Flawed() == nil {
				return failure
			}
		}
		if flawed := a.log.Flawed(); flawed != nil {
			return fmt.Errorf("%w: %w", errEdited, flawed)
		}
		return nil // The edit was undone; the next exercise uses the stream again.
	})
	if a.models != nil {
		a.canary.add("mongodb", a.models.Exercise)
	}
	if a.redis != nil {
		a.canary.add("redis", func(ctx context.Context, text string) error {
			return ingest.Exercise(ctx, a.redis, text, canaryTimeout)
		})
	}
	a.exerciseWays()
	a.loop("canary", a.canary.run)
}

// exerciseWays exercises the ways between the backends: from Redis to the log and back, from
// the log to those who read in this process, and from the log to MongoDB.
func (a *App) exerciseWays() {
	way := func(part string, needs []string, exercise func(ctx context.Context, text string, well time.Duration) error) {
		a.canary.addAfter(part, needs, func(ctx context.Context, text string, well time.Duration) error {
			if a.health.draining.Load() {
				return nil
			}
			return stands(exercise(ctx, text, well))
		})
		a.health.checks = append(a.health.checks, check{part: part, ask: func(context.Context) error { return a.canary.failure(part) }})
	}
	if a.ingest != nil {
		needs := []string{"log"}
		if a.redis != nil {
			needs = append(needs, "redis")
		}
		way("ingest", needs, func(ctx context.Context, text string, well time.Duration) error {
			return a.ingest.Exercise(ctx, text, well, canaryTimeout)
		})
	}
	if a.tail != nil {
		way("live", []string{"log"}, func(ctx context.Context, text string, _ time.Duration) error {
			return a.tail.Exercise(ctx, text, canaryTimeout)
		})
	}
	if a.models == nil || !a.cfg.Has(config.RoleProject) {
		return
	}
	var consumers []*eventstore.Consumption
	var passages []*projections.Passage
	for _, name := range projections.Names() {
		consumers = append(consumers, a.log.Consumption(name))
		passages = append(passages, a.models.Passage(name, a.log.InTurn))
	}
	way("projections", []string{"log", "mongodb"}, func(ctx context.Context, text string, well time.Duration) error {
		var failures []error
		for i, consumer := range consumers {
			// A consumer that stands may be why its projection does not take its turn.
			failures = append(failures, cmp.Or(consumer.Exercise(ctx, consumerPatience), passages[i].Exercise(text, well, consumerPatience)))
		}
		if a.models.Standing() != nil { // which health names
			return nil
		}
		return errors.Join(failures...)
	})
}

// askLog asks the log for its state, which compares the settings of its stream.
func (a *App) askLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout/2)
	defer cancel()
	_, err := a.log.State(ctx)
	return err
}

// logHealthy asks the log, and looks at the settings of its streams as they were last
// seen.
func (a *App) logHealthy(ctx context.Context) error {
	if err := a.log.Healthy(ctx); err != nil {
		return err
	}
	if err := a.log.Flawed(); err != nil {
		return degradation{err}
	}
	if err := a.log.FlawedBeside(); err != nil {
		return degradation{err}
	}
	return nil
}

// exercised adds the last result of the canary to the question of a part.
func (a *App) exercised(part string, ask func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		err, failure := ask(ctx), a.canary.failure(part)
		if err != nil && failure != nil {
			return fmt.Errorf("%w; %s", err, failure) // not degraded, but down
		}
		return cmp.Or(err, failure)
	}
}
