package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// TestUpgrade opens a data folder of each earlier format, in testdata/upgrade by the day of
// the version that wrote it. Each has twelve events with an id, event-1 to event-12, in turn
// of job-1 and job-0, then a domain event of job-0, and one dead letter. Nothing is lost,
// ids are known, and new events are stored after the others.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/upgrade/*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no earlier folders: %v", err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if out, err := exec.Command("tar", "-xzf", archive, "-C", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			redis := testkit.StartRedis(t)
			env := settings{"REDIS_URL": redis.URL(), "DATA_DIR": dir, "NATS_LISTEN": "127.0.0.1:0"}
			g := startGateway(t, env)
			type item struct {
				ID       string
				Sequence uint64
			}
			read := func(job string) []item {
				var page struct{ Items []item }
				g.fetch("/api/novel/"+job+"/events", &page)
				return page.Items
			}
			// The newest is first.
			if items := read("job-0"); len(items) != 7 || items[0].ID != "" || items[1] != (item{"event-12", 12}) || items[6] != (item{"event-2", 2}) {
				t.Errorf("job-0 has %+v", items)
			}
			if items := read("job-1"); len(items) != 6 || items[0] != (item{"event-11", 11}) {
				t.Errorf("job-1 has %+v", items)
			}
			r := run(t, settings{"NATS_URL": natsURL(g)}, "", "deadletter", "list", "-o", "json")
			if r.code != 0 || strings.Count(r.stdout, `"schema-violation"`) != 1 {
				t.Errorf("dead letters: status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			publish := func(id, want string) {
				t.Helper()
				event := fmt.Sprintf(`{"kind":"job-status","jobId":"job-0","status":"running","id":%q}`, id)
				if r := run(t, env, "", "publish", event); r.code != 0 || !strings.Contains(r.stdout+r.stderr, want) {
					t.Errorf("publish %s: status %d: %s%s", id, r.code, r.stdout, r.stderr)
				}
			}
			publish("event-13", "14")
			g.stop()
			g.start()
			if items := read("job-0"); len(items) != 8 || items[0] != (item{"event-13", 14}) {
				t.Errorf("after a restart job-0 has %+v", items)
			}
			again := fmt.Sprintf(`{"version":%d,"kind":"job-status","jobId":"job-0","status":"running","id":"event-12"}`, messaging.Version)
			if err := redis.Client().Publish(t.Context(), messaging.EventsChannel, again).Err(); err != nil {
				t.Fatal(err)
			}
			publish("event-14", "15") // and not 16: the repetition before it is not stored
			if err := os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("99\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			g.stop()
			if r := run(t, settings{"DATA_DIR": dir, "PORT": "0"}, "", "serve"); r.code == 0 || !strings.Contains(r.stderr, "the data folder is of a later version") {
				t.Errorf("a folder of a later version: status %d: %s", r.code, r.stderr)
			}
		})
	}
}
