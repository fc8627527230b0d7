package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
)

// Scenario is one thing that is done to a deployment.
type Scenario struct {
	Name string
	// Summary is one line about it.
	Summary string
	// Defaults are its options unless configured otherwise.
	Defaults load.Options
	// heeds are the names of the options that it reads.
	heeds []string
	// needsRedis skips it where events cannot be published.
	needsRedis bool
	run        func(ctx context.Context, t *trial) error
}

// All returns every scenario, in the order in which a suite runs them.
func All() []Scenario {
	return []Scenario{
		connectionQuota, originQuota, subscriptionCap, idleEviction, catchUpBurst, broadcastBurst,
		reconnectStorm, slowClients, churn, soak,
	}
}

// Names returns the names of all scenarios.
func Names() []string {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name)
	}
	return names
}

// Find returns a scenario by its name.
func Find(name string) (Scenario, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Heeds reports whether the scenario reads an option.
func (s Scenario) Heeds(key load.Key) bool { return slices.Contains(s.heeds, key.Name) }

// Env is what a scenario runs in.
type Env struct {
	Config load.Config
	// Progress receives how far a step is; nil discards it. It is called
	// concurrently, and must not block.
	Progress func(step string, done, total int)
	// RestartRedis restarts the Redis server and leaves it down for so long; nil:
	// the server is asked to do it, which only one with DEBUG enabled does.
	RestartRedis func(ctx context.Context, down time.Duration) error
}

// errSkip ends a scenario whose precondition is missing.
var errSkip = errors.New("skipped")

// Run carries the scenario out.
func (s Scenario) Run(ctx context.Context, env Env, options load.Options) load.Result {
	t := &trial{
		env: env, cfg: env.Config, opts: options, result: &load.Result{Scenario: s.Name, StartedAt: time.Now().UTC(), Options: options, Checks: []load.Check{}, Figures: map[string]float64{}},
		pages: metrics.NewClient(env.Config.Gateways(), env.Config.MetricsPath, env.Config.InternalToken), began: time.Now(),
	}
	t.connections = measure.NewLevels(t.began)
	watcher := measure.Watch()
	running, stop := context.WithCancel(ctx)
	err := t.prepare(running, s)
	if err == nil {
		err = s.run(running, t)
	}
	stop()
	t.background.Wait()
	t.leave()
	r := t.result
	r.Harness = watcher.Stop()
	r.DurationMs = measure.Ms(time.Since(t.began))
	switch {
	case errors.Is(err, errSkip):
	case ctx.Err() != nil:
		r.Check("carried out", false, "the whole scenario", ctx.Err())
	case err != nil:
		r.Check("carried out", false, "the whole scenario", err)
	}
	r.Settle()
	return *r
}

// skip ends the scenario without a verdict.
func (t *trial) skip(format string, args ...any) error {
	t.result.Skip(format, args...)
	return fmt.Errorf("%w: %s", errSkip, t.result.Reason)
}
