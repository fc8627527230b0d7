package scenario_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once, on a machine that is busy.
const patience = 30 * time.Second

// timing are the checks of absolute times, which a busy machine may fail: no test
// needs them to hold.
var timing = []string{"refused at once", "in time", "replayed in time", "latency", "the others do not notice", "latency of the others"}

// deployment is a whole gateway with its log, and its Redis.
type deployment struct{ *gatewaykit.Gateway }

// deploy runs a gateway with these settings until the test ends.
func deploy(t *testing.T, settings map[string]string) deployment {
	t.Helper()
	return deployment{gatewaykit.Start(t, settings)}
}

// config is that of the harness for an address in front of the deployment.
func (d deployment) config(url string) load.Config {
	cfg := load.DefaultConfig()
	cfg.APIURL, cfg.RedisURL, cfg.Origin = url, d.Redis.URL(), "http://a, http://b"
	cfg.ConnectTimeoutMs, cfg.DisconnectTimeoutMs = int(patience.Milliseconds()), int(patience.Milliseconds())
	return cfg
}

// run carries a scenario out with its defaults changed.
func run(t *testing.T, env scenario.Env, name string, change func(*load.Options)) load.Result {
	t.Helper()
	s, known := scenario.Find(name)
	if !known {
		t.Fatalf("there is no scenario %q", name)
	}
	options, err := env.Config.For(name, s.Defaults, change)
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(t.Context(), env, options)
}

// failures returns the names of the checks that do not hold, but for those of
// times.
func failures(r load.Result) []string {
	var names []string
	for _, check := range r.Failures() {
		if !slices.Contains(timing, check.Name) {
			names = append(names, check.Name)
		}
	}
	return names
}

// holds fails the test unless the scenario was carried out and everything but
// times holds.
func holds(t *testing.T, r load.Result) {
	t.Helper()
	if r.Status == load.Skipped || len(r.Checks) < 3 || len(failures(r)) > 0 {
		t.Errorf("%s %s: %s", r.Scenario, r.Status, r.Reason)
	}
}

// fails fails the test unless the scenario failed for exactly these checks.
func fails(t *testing.T, r load.Result, names ...string) {
	t.Helper()
	got := failures(r)
	if r.Status != load.Failed || strings.Join(got, ", ") != strings.Join(names, ", ") {
		t.Errorf("%s is %s for %q, want it to fail for %q: %s", r.Scenario, r.Status, got, names, r.Reason)
	}
}
