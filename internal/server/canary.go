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
)

// canaryTimeout bounds the exercise of one backend; asking the log for its settings after one
// that failed takes half of it at most.
const canaryTimeout = 4 * time.Second

// leg is one backend, and what exercises it.
type leg struct {
	// name is the name of the part in health, and the label of the metrics.
	name     string
	exercise func(ctx context.Context, text string) error
}

// canary exercises what the service needs of each backend, on a pace: not whether it
// answers, but whether it does what is needed. What it writes is seen by nobody:
// no event of a job, no document of a job, no message to a client.
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
}

func newCanary(interval time.Duration, logger *slog.Logger, registerer prometheus.Registerer) (*canary, error) {
	c := &canary{
		interval: interval, logger: logger, failures: make(map[string]error), logged: make(map[string][]string),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_app_canary_failing",
			Help: "1 while a backend answers, or not, and does not do what is needed, by the backend and the cause.",
		}, []string{"leg", "cause"}),
		seconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "realtime_app_canary_seconds", Help: "How long the last exercise of a backend took.",
		}, []string{"leg"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "realtime_app_canary_runs_total", Help: "How often a backend was exercised.",
		}, []string{"leg"}),
	}
	return c, errors.Join(registerer.Register(c.failing), registerer.Register(c.seconds), registerer.Register(c.runs))
}

// add adds a leg, before run.
func (c *canary) add(name string, exercise func(ctx context.Context, text string) error) {
	c.legs = append(c.legs, leg{name, exercise})
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
		var legs sync.WaitGroup
		for _, leg := range c.legs {
			legs.Go(func() { c.exercise(ctx, leg) }) // bounded by canaryTimeout
		}
		legs.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *canary) exercise(ctx context.Context, leg leg) {
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	err := leg.exercise(bounded, "canary-"+rand.Text())
	if ctx.Err() != nil {
		return
	}
	defer c.runs.WithLabelValues(leg.name).Inc() // after the gauges
	c.seconds.WithLabelValues(leg.name).Set(time.Since(began).Seconds())
	label := causeLabel(err)
	for _, cause := range causeLabels() {
		value := 0.0
		if err != nil && cause == label {
			value = 1
		}
		c.failing.WithLabelValues(leg.name, cause).Set(value)
	}
	switch began, ended := c.note(leg.name, label, err); {
	case began:
		c.logger.Error("a backend does not do what is needed", "part", leg.name, "cause", label, "error", err)
	case ended:
		c.logger.Info("a backend does what is needed again", "part", leg.name)
	}
}

// note takes in the outcome of an exercise. It reports whether a cause has begun in this
// outage of the backend, as one that cannot be reached may turn out to refuse the
// password, and whether the outage has ended. The edit of a stream is logged where the
// settings are compared.
func (c *canary) note(leg, label string, err error) (began, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		ended = len(c.logged[leg]) > 0
		delete(c.failures, leg)
		delete(c.logged, leg)
		return false, ended
	}
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
	a.loop("canary", a.canary.run)
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
