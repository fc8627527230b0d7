package load_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/load"
)

// names are the scenarios of these tests.
var names = []string{"broadcast-burst", "idle-eviction"}

func parse(t *testing.T, text string) (load.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loadtest.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load.LoadConfig(path, names)
}

// Every key that the harness promises is read, and layers lie above each other.
func TestLayers(t *testing.T) {
	t.Parallel()
	cfg, err := parse(t, `{
		"$schema": "./loadtest.schema.json", "alternateOrigin": "http://p",
		"apiUrl": "http://a:1/, https://b", "metricsPath": "/m", "websocketPath": "/w", "origin": "http://o",
		"redisUrl": "redis://r", "mongoUri": "mongodb://m/d", "connectTimeoutMs": 7, "disconnectTimeoutMs": 8,
		"options": {"attempts": 1, "extras": 2, "jobCount": 3, "delayMs": 4, "settleMs": 5, "eventCount": 6, "clientCount": 7,
			"replayThresholdMs": 8, "latencyThresholdMs": 9, "redisResetSequence": 10, "redisResetDelayMs": 11},
		"scenarioOptions": {"broadcast-burst": {"eventCount": 60, "redisReset": "server", "delayMs": 0}},
		"scenarios": ["idle-eviction"]
	}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(cfg.Gateways(), " "); got != "http://a:1 https://b" {
		t.Errorf("gateways: %q", got)
	}
	if cfg.MetricsPath != "/m" || cfg.WebsocketPath != "/w" || cfg.Origin != "http://o" || cfg.AlternateOrigin != "http://p" || cfg.RedisURL != "redis://r" ||
		cfg.MongoURI != "mongodb://m/d" || cfg.ConnectTimeoutMs != 7 || cfg.DisconnectTimeoutMs != 8 {
		t.Errorf("got %+v", cfg)
	}
	defaults := load.Options{SlowCount: 5, EventCount: 50}
	got, err := cfg.For("broadcast-burst", defaults, func(o *load.Options) { o.ClientCount = 70 })
	want := load.Options{
		Attempts: 1, Extras: 2, JobCount: 3, SettleMs: 5, EventCount: 60, ClientCount: 70, ReplayThresholdMs: 8,
		LatencyThresholdMs: 9, RedisResetSequence: 10, RedisResetDelayMs: 11, RedisReset: "server", SlowCount: 5,
	}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := cfg.For("idle-eviction", defaults, nil); err != nil || got.EventCount != 6 || got.RedisReset != "" {
		t.Errorf("the other scenario: %+v, %v", got, err)
	}
	if _, err := cfg.For("idle-eviction", defaults, func(o *load.Options) { o.Extras = -1 }); err == nil || !strings.Contains(err.Error(), "extras") {
		t.Errorf("a negative flag: %v", err)
	}
}

// An unknown key is refused, and the error lists the known ones.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, names string }{
		{`{"apiURL": "x"}`, `"apiURL": allowed are apiUrl, metricsPath`},
		{`{"options": {"clients": 1}}`, `options: unknown key "clients": allowed are attempts, extras`},
		{`{"scenarioOptions": {"broadcast": {}}}`, `"broadcast": allowed are broadcast-burst, idle-eviction`},
		{`{"scenarioOptions": {"idle-eviction": {"timeoutMs": 1}}}`, `scenarioOptions.idle-eviction: unknown key "timeoutMs"`},
		{`{"internalToken": "secret"}`, `"internalToken"`},
	}
	for _, test := range tests {
		if _, err := parse(t, test.text); !errors.Is(err, load.ErrUnknownKey) || !strings.Contains(err.Error(), test.names) || !strings.Contains(err.Error(), "loadtest.json") {
			t.Errorf("%s: got %v", test.text, err)
		}
	}
	for _, text := range []string{
		`[]`, `{`, `{"apiUrl": 1}`, `{"options": []}`, `{"options": {"extras": "3"}}`, `{"options": {"extras": -3}}`,
		`{"options": {"redisReset": "everything"}}`, `{"scenarios": ["broadcast"]}`,
	} {
		if _, err := parse(t, text); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	if _, err := load.LoadConfig(filepath.Join(t.TempDir(), "none"), names); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*load.Config){
		"apiUrl":              func(c *load.Config) { c.APIURL = "localhost:3001" },
		"metricsPath":         func(c *load.Config) { c.MetricsPath = "metrics" },
		"websocketPath":       func(c *load.Config) { c.WebsocketPath = "" },
		"connectTimeoutMs":    func(c *load.Config) { c.ConnectTimeoutMs = 0 },
		"disconnectTimeoutMs": func(c *load.Config) { c.DisconnectTimeoutMs = -1 },
	} {
		cfg := load.DefaultConfig()
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+" is ") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// A budget is a check: one that is exceeded, or names what was not measured, fails.
func TestBudgets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "budgets.json")
	if err := os.WriteFile(path, []byte(`{"a": {"p95Ms": 40, "other": 1}, "b": {"p95Ms": 40}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	budgets, err := load.LoadBudgets(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		result load.Result
		want   load.Status
		reason string
	}{
		{load.Result{Scenario: "b", Figures: map[string]float64{"p95Ms": 40}}, load.Passed, ""},
		{load.Result{Scenario: "b", Figures: map[string]float64{"p95Ms": 40.1}}, load.Failed, "budget of p95Ms: want at most 40, got 40.1"},
		{load.Result{Scenario: "a", Figures: map[string]float64{"p95Ms": 1}}, load.Failed, "budget of other: want at most 1, got no such figure"},
		{load.Result{Scenario: "a", Status: load.Skipped, Reason: "why"}, load.Skipped, "why"},
		{load.Result{Scenario: "c"}, load.Passed, ""},
	} {
		r := test.result
		budgets.Apply(&r)
		if r.Status != test.want || r.Reason != test.reason {
			t.Errorf("%+v: got %s %q", test.result, r.Status, r.Reason)
		}
	}
	if _, err := load.LoadBudgets(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no file is no error")
	}
}
