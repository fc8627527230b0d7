package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// Poison is kept, shown as it came, and sent again once the gateway's rules take
// it: in the order of its job, and once.
func TestDeadLetterCommands(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	g := startGateway(t, settings{"REDIS_URL": redis.URL(), "NATS_LISTEN": "127.0.0.1:0", "NATS_SYNC": "10s"})
	env := settings{"NATS_URL": natsURL(g)}
	client := redis.Client()
	review := func(n int) string {
		return fmt.Sprintf(`{"kind":"review","jobId":"job-%d","id":"review-%d","stars":%d}`, n%2, n, n)
	}
	poison := []string{"\xff\x00no JSON", `{"kind":"job-status","jobId":"job-1","status":"paused"}`, review(1), review(2), review(3)}
	for _, payload := range poison {
		if err := client.Publish(t.Context(), messaging.EventsChannel, payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	type row struct {
		Sequence   uint64
		Reason     string
		JobID      string
		Bytes      int
		Body       string
		BodyBase64 []byte
	}
	list := func(args ...string) (rows []row) {
		t.Helper()
		r := run(t, env, "", append([]string{"deadletter", "list", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(r.stdout), &rows); r.code != 0 || err != nil {
			t.Fatalf("%v: status %d, %v\n%s%s", args, r.code, err, r.stdout, r.stderr)
		}
		return rows
	}
	eventually(t, "every letter is there", func() error {
		if rows := list(); len(rows) != len(poison) {
			return fmt.Errorf("%d letters", len(rows))
		}
		return nil
	})
	reviews := list("--reason", "unknown-kind")
	if len(reviews) != 3 || len(list("--job", "job-1")) != 3 || len(list("--limit", "2")) != 2 || len(list("--until", "2020-01-01T00:00:00Z")) != 0 {
		t.Errorf("reviews %+v", reviews)
	}
	garbage := list("--reason", "invalid-json")[0]
	if r := run(t, env, "", "deadletter", "show", fmt.Sprint(garbage.Sequence), "--raw"); r.code != 0 || r.stdout != poison[0] {
		t.Errorf("the raw bytes are %q, status %d", r.stdout, r.code)
	}
	if r := run(t, env, "", "deadletter", "show", fmt.Sprint(garbage.Sequence)); !strings.Contains(r.stdout, `\xff\x00no JSON`) {
		t.Errorf("shown as %q", r.stdout)
	}

	// Nothing is acceptable yet.
	if r := run(t, env, "", "deadletter", "redrive"); r.code != 3 || len(list()) != len(poison) {
		t.Errorf("redriven with status %d, and %d letters are left:\n%s%s", r.code, len(list()), r.stdout, r.stderr)
	}
	env["CATALOGUE_FILE"] = filepath.Join(t.TempDir(), "kinds.json")
	kinds := `{"kinds":[{"kind":"review","socketEvent":"novel.review","payload":["stars"],"schema":{"required":["stars"]}}]}`
	if err := os.WriteFile(env["CATALOGUE_FILE"], []byte(kinds), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, env, "", "deadletter", "redrive", "--reason", "unknown-kind", "--dry-run"); r.code != 0 || strings.Count(r.stdout, "acceptable now") != 3 || len(list()) != len(poison) {
		t.Errorf("a dry run: status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var outcomes []struct {
		JobID     string
		Stored    uint64
		Duplicate bool
		Refused   string
	}
	r := run(t, env, "", "deadletter", "redrive", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &outcomes); r.code != 3 || err != nil || len(outcomes) != len(poison) {
		t.Fatalf("status %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	// Order is a promise to one job: letters of different jobs may stand either way.
	refused, stored := map[string]int{}, map[string][]uint64{}
	for _, o := range outcomes {
		if (o.Stored > 0) == (o.Refused != "") || o.Duplicate {
			t.Errorf("outcome %+v", o)
		}
		if o.Refused != "" {
			refused[o.JobID]++
		} else {
			stored[o.JobID] = append(stored[o.JobID], o.Stored)
		}
	}
	if refused[""] != 1 || refused["job-1"] != 1 || len(stored["job-0"]) != 1 || len(stored["job-1"]) != 2 || !slices.IsSorted(stored["job-1"]) {
		t.Errorf("refused %v, stored %v", refused, stored)
	}
	if left := list(); len(left) != 2 {
		t.Errorf("left %+v", left)
	}
	again := run(t, env, "", "deadletter", "purge", fmt.Sprint(garbage.Sequence))
	if again.code != 0 || !strings.Contains(again.stdout, "removed 1 letters") || len(list()) != 1 {
		t.Errorf("purge: status %d\n%s%s", again.code, again.stdout, again.stderr)
	}
	for _, wrong := range [][]string{
		{"deadletter", "purge"},
		{"deadletter", "purge", "--all", "1"},
		{"deadletter", "list", "--reason", "boredom"},
		{"deadletter", "list", "--since", "yesterday"},
		{"deadletter", "show", "first"},
	} {
		if r := run(t, env, "", wrong...); r.code != 2 || r.reason() == "" {
			t.Errorf("%q: status %d\n%s", wrong, r.code, r.stderr)
		}
	}
	if r := run(t, env, "", "deadletter", "purge", "--all"); r.code != 0 || len(list()) != 0 {
		t.Errorf("purge of all: status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
