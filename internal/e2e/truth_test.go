package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A command of an operator who has not said which log he means makes none.
func TestOperatorsMakeNoLog(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"log", "status"},
		{"replay", "--dry-run"},
		{"deadletter", "list"},
		{"audit", "list"},
		{"projections", "status"},
		{"operations"},
		{"backup", filepath.Join(t.TempDir(), "b")},
		{"erase", "job", "--reason", "r", "--by", "b"},
	} {
		folder := filepath.Join(t.TempDir(), "data")
		r := run(t, settings{"DATA_DIR": folder, "MONGODB_URI": "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=100"}, "", args...)
		if r.code != 1 || !strings.Contains(r.stderr, "NATS_URL is not set") {
			t.Errorf("%q: status %d: %s", args, r.code, r.stderr)
		}
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Errorf("%q makes %s: %v", args, folder, err)
		}
	}
}

// What matches nothing is told, and was not handed on.
func TestNothingMatches(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	g := startGateway(t, settings{"DATA_DIR": data})
	for _, id := range []string{"1", "2", "3"} {
		response, err := http.Post(g.url("/api/realtime/events"), "application/json",
			strings.NewReader(`{"kind":"job-status","jobId":"job-1","id":"`+id+`","status":"running"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	g.stop()
	env := settings{"DATA_DIR": data}
	for _, args := range [][]string{
		{"--from", "3", "--to", "1"},
		{"--from", "1000"},
		{"--from", "2999-01-01T00:00:00Z"},
		{"--to", "2001-01-01T00:00:00Z"},
		{"--from", "2026-03-01T11:00:00Z", "--to", "2026-03-01T10:00:00Z"},
		{"--job", "jbo-1"},
		{"--kind", "domian"},
		{"--type", "nothing", "--dry-run"},
	} {
		r := run(t, env, "", append([]string{"replay"}, args...)...)
		if all := r.stdout + r.stderr; r.code != 3 || !strings.Contains(all, "nothing matches") || strings.Contains(all, "handed on") {
			t.Errorf("%q: status %d: %s", args, r.code, all)
		}
	}
	if r := run(t, env, "", "replay"); r.code != 0 || !strings.HasPrefix(r.stderr, "log: folder ") || !strings.Contains(r.stderr, "head 3") {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
}
