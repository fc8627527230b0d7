package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The suite runs against a fresh development stack, exits with 0, and leaves its
// files; they can be compared.
func TestLoadtestSuite(t *testing.T) {
	t.Parallel()
	env := settings{
		"SOCKET_MAX_CONNECTIONS": "60", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "30", "SOCKET_IDLE_TIMEOUT_MS": "4000",
	}
	maps.Copy(env, devLog)
	server := startServer(t, env, build(t, "realtime-dev"), "--sample=false", "--redis-addr", "127.0.0.1:0", "--mongo-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0")
	redisAddr, _ := server.output.find(redisAddress)
	dir := t.TempDir()
	config, out := filepath.Join(dir, "loadtest.json"), filepath.Join(dir, "out")
	text, err := json.Marshal(map[string]any{
		"apiUrl": server.url(""), "redisUrl": "redis://" + redisAddr,
		// Nothing here is about speed.
		"options":   map[string]int{"settleMs": 30_000, "latencyThresholdMs": 60_000, "replayThresholdMs": 60_000, "clientCount": 10, "durationMs": 1500},
		"scenarios": []string{"subscription-cap", "catch-up-burst", "broadcast-burst", "reconnect-storm", "churn"},
	})
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := runProgram(t, lab(t), nil, "", "loadtest", "suite", "--config", config, "--output", out, "--label", "L", "--event-count", "30", "--no-skips", "--json")
	if r.code != 0 {
		t.Fatalf("status %d: %s", r.code, r.stderr)
	}
	var summary struct{ Passed, Failed int }
	if err := json.Unmarshal([]byte(r.stdout), &summary); err != nil || summary.Passed != 5 || summary.Failed != 0 {
		t.Errorf("the summary is %s, %v", r.stdout, err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	for _, name := range []string{
		"L-before-metrics.json", "L-after-broadcast-burst-metrics.json", "L-after-metrics.json",
		"broadcast-burst.json", "churn.json", "suite-summary.json", "report.md", "report.html",
	} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no %s among %q", name, names)
		}
	}
	before, after := filepath.Join(out, "L-before-metrics.json"), filepath.Join(out, "L-after-metrics.json")
	if r := runProgram(t, lab(t), nil, "", "loadtest", "compare-metrics", before, after); r.code != 0 || !strings.Contains(r.stdout, "lastCatchUp.loadtest-") {
		t.Errorf("compare-metrics: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	// As the harness of the Node gateway is called.
	differences := filepath.Join(dir, "differences.json")
	if r := runProgram(t, lab(t), nil, "", "loadtest", "compare-metrics", "--baseline", before, "--target", after, "--output", differences); r.code != 0 || !strings.Contains(r.stdout, "lastCatchUp.loadtest-") {
		t.Errorf("compare-metrics with flags: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if text, err := os.ReadFile(differences); err != nil || !json.Valid(text) {
		t.Errorf("the differences are %s, %v", text, err)
	}
	old := []string{"loadtest", "broadcast-burst", "--config", config, "--ws-path", "/ws", "--redis-reset-sequence", "3", "--client-count", "5", "--event-count", "5"}
	for name, staging := range map[string]settings{"a flag": nil, "STAGING": {"STAGING": "true"}} {
		args := old
		if staging == nil {
			args = append(slices.Clone(old), "--skip-redis-reset")
		}
		if r := runProgram(t, lab(t), staging, "", args...); r.code != 0 || strings.Contains(r.stdout, "skipped") {
			t.Errorf("broadcast-burst whose reset is left out by %s: status %d: %s%s", name, r.code, r.stdout, r.stderr)
		}
	}
	if r := runProgram(t, lab(t), nil, "", "loadtest", "compare-runs", out, out); r.code != 0 || !strings.Contains(r.stdout, "are the same within the noise") {
		t.Errorf("compare-runs: status %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// Wrong usage says what is allowed, and a failure is told from it.
func TestLoadtestUsage(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "loadtest.json")
	if err := os.WriteFile(config, []byte(`{"options": {"clients": 3}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := []string{"--api-url", "http://127.0.0.1:1"}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"suite", "--config", config}, 2, "allowed are attempts, extras"},
		{[]string{"suite", "nothing"}, 2, "broadcast-burst"},
		{[]string{"suite", "--label", "a/b"}, 2, "label"},
		{[]string{"broadcast-burst", "--redis-reset", "everything"}, 2, "publisher, subscriber or server"},
		{[]string{"broadcast-burst", "--api-url", "localhost"}, 2, "apiUrl"},
		{[]string{"subscription-cap", "--event-count", "3"}, 2, "event-count"},
		{append([]string{"subscription-cap"}, nobody...), 1, "subscription-cap"},
		{append([]string{"suite", "--output", t.TempDir()}, nobody...), 1, "connection refused"},
		{[]string{"compare-metrics", "--baseline", config}, 2, "1 metrics pages: want two"},
		{[]string{"compare-runs", t.TempDir(), t.TempDir()}, 1, "suite-summary.json"},
	} {
		if r := runProgram(t, lab(t), nil, "", append([]string{"loadtest"}, test.args...)...); r.code != test.code || !strings.Contains(r.stderr, test.says) {
			t.Errorf("%q: status %d, want %d and %q: %s", test.args, r.code, test.code, test.says, r.stderr)
		}
	}
}
