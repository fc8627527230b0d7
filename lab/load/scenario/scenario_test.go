package scenario_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/scenario"
)

// limits are settings with which every scenario about limits can be carried out.
var limits = map[string]string{
	"SOCKET_MAX_CONNECTIONS": "12", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "8",
	"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "5", "SOCKET_IDLE_TIMEOUT_MS": "3000",
}

// small makes a scenario short enough for a test.
func small(o *load.Options) {
	o.SettleMs = int(patience.Milliseconds())
	if o.ClientCount > 0 {
		o.ClientCount = 10
	}
	if o.EventCount > 0 {
		o.EventCount = 40
	}
	if o.SlowCount > 0 {
		o.SlowCount = 2
	}
	if o.EventBytes > 4096 {
		o.EventBytes = 4096
	}
	if o.DurationMs > 0 {
		o.DurationMs = 1500
	}
	if o.ReplayThresholdMs > 0 {
		o.ReplayThresholdMs = int(patience.Milliseconds())
	}
}

// Against a gateway that keeps the contract, every scenario holds.
func TestEveryScenarioHolds(t *testing.T) {
	t.Parallel()
	limited, open := deploy(t, limits), deploy(t, nil)
	for _, name := range []string{"connection-quota", "origin-quota", "subscription-cap", "idle-eviction"} {
		cfg := limited.config(limited.URL)
		if name == "origin-quota" {
			cfg.AlternateOrigin = "http://b"
		}
		holds(t, run(t, scenario.Env{Config: cfg}, name, func(o *load.Options) {
			if small(o); name == "idle-eviction" {
				o.ClientCount = 6
			}
		}))
	}
	for _, name := range []string{"catch-up-burst", "broadcast-burst", "reconnect-storm", "slow-clients", "churn", "soak"} {
		r := run(t, scenario.Env{Config: open.config(open.URL)}, name, small)
		holds(t, r)
		if r.Latency == nil || r.Delivery == nil || r.Delivery.Due == 0 || r.Harness.CPUSeconds <= 0 {
			t.Errorf("%s measured %+v, %+v, %+v", name, r.Latency, r.Delivery, r.Harness)
		}
	}
}

// A gateway that loses or repeats one event in a hundred, or turns two around, fails
// every scenario with deliveries, for that.
func TestBrokenDeliveriesAreFound(t *testing.T) {
	t.Parallel()
	soon := func(o *load.Options) {
		small(o)
		if o.EventCount = 60; o.RatePerSecond > 0 {
			o.RatePerSecond, o.JobCount = 60, 1
		}
	}
	for _, name := range []string{"catch-up-burst", "broadcast-burst", "reconnect-storm", "slow-clients", "churn", "soak"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, nil)
			// Of ten clients, every 97th event is not always the same one's, which may be a slow one.
			for want, x := range map[string]*tamper{"delivered": {drop: 97}, "none twice": {repeat: 100}, "none out of order": {swap: 3}} {
				switch {
				case name == "churn":
					want = "every visit gets the whole history"
				case name == "slow-clients" && x.drop > 0:
					want = "the first half reaches every client, the others get everything meanwhile, " + want
				}
				fails(t, run(t, scenario.Env{Config: d.config(x.front(t, d.URL))}, name, func(o *load.Options) {
					if soon(o); x.drop > 0 {
						o.SettleMs = 3000 // nothing more comes, however long the wait
					}
				}), want)
			}
		})
	}
}

// A gateway that exceeds a cap by one, evicts late, or says something else than the
// contract's text fails for that.
func TestBrokenLimitsAreFound(t *testing.T) {
	t.Parallel()
	lower := func(key string, by float64) func(map[string]any) {
		return func(page map[string]any) { page[key] = page[key].(float64) - by }
	}
	tests := []struct {
		scenario, name string
		tamper         *tamper
		want           []string
	}{
		{"connection-quota", "one too many", &tamper{page: lower("maxConnections", 1)}, []string{"accepted", "refused with MAX_CONNECTIONS_EXCEEDED", "metrics never above the limit"}},
		{"connection-quota", "one too few", &tamper{page: lower("maxConnections", -1)}, []string{"accepted", "refused with MAX_CONNECTIONS_EXCEEDED"}},
		{"connection-quota", "another text", &tamper{replace: []string{"Please retry shortly.", "Sorry."}}, []string{"refused with MAX_CONNECTIONS_EXCEEDED", "every refusal has its code and text"}},
		{"connection-quota", "one not counted", &tamper{page: func(page map[string]any) {
			page["totalConnections"] = max(page["totalConnections"].(float64)-1, 0)
		}}, []string{"metrics count who is in"}},
		{"origin-quota", "one too many", &tamper{page: lower("maxConnectionsPerOrigin", 1)}, []string{"accepted", "refused with ORIGIN_CONNECTIONS_EXCEEDED", "metrics never above the limit"}},
		{"subscription-cap", "one too many", &tamper{page: lower("maxSubscriptionsPerClient", 1)}, []string{"subscribed", "one novel.error for each refusal", "metrics count the subscriptions"}},
		{"subscription-cap", "another code", &tamper{replace: []string{"SUBSCRIPTION_LIMIT_REACHED", "TOO_MANY"}}, []string{"one novel.error for each refusal", "every refusal has its code and text"}},
		{"idle-eviction", "without a word", &tamper{replace: []string{"IDLE_TIMEOUT", "GOODBYE"}}, []string{"told why"}},
	}
	for _, test := range tests {
		t.Run(test.scenario+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, limits)
			fails(t, run(t, scenario.Env{Config: d.config(test.tamper.front(t, d.URL))}, test.scenario, func(o *load.Options) {
				if o.SettleMs = int(patience.Milliseconds()); test.name == "one not counted" {
					o.SettleMs = 1000 // the page never says what is waited for
				}
				if o.ClientCount > 0 {
					o.ClientCount = 6
				}
			}), test.want...)
		})
	}
	t.Run("idle-eviction/late", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, limits)
		x := &tamper{late: 2 * time.Second}
		r := run(t, scenario.Env{Config: d.config(x.front(t, d.URL))}, "idle-eviction", func(o *load.Options) {
			o.ClientCount, o.SettleMs = 3, int(patience.Milliseconds())
		})
		if found := r.Failures(); len(found) != 1 || found[0].Name != "in time" {
			t.Errorf("it is %s for %+v", r.Status, found)
		}
	})
}

// What the deployment lacks skips a scenario, with the reason.
func TestSkipped(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	cfg := d.config(d.URL)
	for name, reason := range map[string]string{
		"connection-quota": "SOCKET_MAX_CONNECTIONS", "origin-quota": "SOCKET_MAX_CONNECTIONS_PER_ORIGIN", "idle-eviction": "idleLimitMs",
		"broadcast-burst": "redisUrl", "catch-up-burst": "mongoUri",
	} {
		cfg.RedisURL = ""
		if r := run(t, scenario.Env{Config: cfg}, name, nil); r.Status != load.Skipped || !strings.Contains(r.Reason, reason) {
			t.Errorf("%s is %s: %q", name, r.Status, r.Reason)
		}
	}
}

// The Redis of the development stack cannot list its connections: what would cut them
// is skipped, with the reason, before anything is done.
func TestResetIsSkippedWithoutAListOfConnections(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	cfg := d.config(d.URL)
	cfg.RedisURL = "redis://" + miniredis.RunT(t).Addr()
	r := run(t, scenario.Env{Config: cfg}, "broadcast-burst", func(o *load.Options) { o.RedisResetSequence = 3 })
	if r.Status != load.Skipped || !strings.Contains(r.Reason, "cannot list its connections") {
		t.Errorf("broadcast-burst is %s: %q", r.Status, r.Reason)
	}
}

// Options with which nothing would happen fail a scenario, which would hold for
// that: no clients, no events, a reset behind the last event.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	env := scenario.Env{Config: load.DefaultConfig()} // no server is asked
	for _, test := range []struct {
		scenario, reason string
		change           func(*load.Options)
	}{
		{"idle-eviction", "clientCount is 0", func(o *load.Options) { o.ClientCount = 0 }},
		{"broadcast-burst", "clientCount is 0", func(o *load.Options) { o.ClientCount = 0 }},
		{"catch-up-burst", "eventCount is 0", func(o *load.Options) { o.EventCount = 0 }},
		{"churn", "durationMs is 0", func(o *load.Options) { o.DurationMs = 0 }},
		{"soak", "ratePerSecond is 0", func(o *load.Options) { o.RatePerSecond = 0 }},
		{"broadcast-burst", "redisResetSequence is 51: want at most eventCount, 50", func(o *load.Options) { o.RedisResetSequence = 51 }},
	} {
		r := run(t, env, test.scenario, test.change)
		if fails(t, r, "carried out"); !strings.Contains(r.Reason, test.reason) {
			t.Errorf("%s fails for %s, want %s", test.scenario, r.Reason, test.reason)
		}
	}
}

// A scenario without a server fails, and does not hang.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	cfg := load.DefaultConfig()
	cfg.APIURL = "http://127.0.0.1:1"
	for _, s := range scenario.All() {
		fails(t, run(t, scenario.Env{Config: cfg}, s.Name, nil), "carried out")
	}
}

// Whatever of Redis is reset during the burst, everything comes.
func TestRedisReset(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	env := scenario.Env{Config: d.config(d.URL), RestartRedis: func(context.Context, time.Duration) error {
		d.Redis.Restart()
		return nil
	}}
	for _, what := range []string{load.ResetPublisher, load.ResetSubscriber, load.ResetServer} {
		r := run(t, env, "broadcast-burst", func(o *load.Options) {
			small(o)
			o.RedisReset, o.RedisResetSequence, o.DelayMs = what, 20, 10
		})
		holds(t, r)
		if len(r.Outages) != 1 || !strings.Contains(r.Outages[0].What, what) || r.Figures["recoveryMs"] <= 0 {
			t.Errorf("%s: outages %+v, recovery %g", what, r.Outages, r.Figures["recoveryMs"])
		}
	}
	env.RestartRedis = nil // and this server does not take DEBUG
	r := run(t, env, "broadcast-burst", func(o *load.Options) {
		small(o)
		o.RedisReset, o.RedisResetSequence = load.ResetServer, 20
	})
	if fails(t, r, "carried out"); !strings.Contains(r.Reason, "cannot be restarted") {
		t.Errorf("it fails for %s", r.Reason)
	}
}

// History that an older writer left in MongoDB is replayed, too.
func TestSeedMongo(t *testing.T) {
	t.Parallel()
	mongo, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mongo.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	d := deploy(t, map[string]string{"MONGODB_URI": mongo.URI()})
	cfg := d.config(d.URL)
	cfg.MongoURI = mongo.URI()
	holds(t, run(t, scenario.Env{Config: cfg}, "catch-up-burst", small))
	cfg.MongoURI = "mongodb://127.0.0.1:1"
	fails(t, run(t, scenario.Env{Config: cfg}, "catch-up-burst", small), "carried out")
}

// What a scenario heeds has a default or means nothing, and each option is heeded
// by one at least.
func TestOptionsAreHeeded(t *testing.T) {
	t.Parallel()
	for _, key := range load.Keys() {
		heeded := false
		for _, s := range scenario.All() {
			heeded = heeded || s.Heeds(key)
			if number := key.Number(&s.Defaults); number != nil && *number != 0 && !s.Heeds(key) {
				t.Errorf("%s has a default for %s and does not heed it", s.Name, key.Name)
			}
		}
		if !heeded {
			t.Errorf("no scenario uses %s", key.Name)
		}
	}
}
