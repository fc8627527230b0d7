package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/letswriteabook/realtime/internal/testkit"
)

const (
	runbookPage = "../../docs/ops/runbook.md"
	alertsFile  = "../../deploy/prometheus/alerts.yml"
	// maxNotRun bounds the commands that no test runs.
	maxNotRun = 4
)

// shellBlock is a fenced block of commands on a page.
type shellBlock struct {
	line    int
	section string
	text    string
	excuse  string // why it is not run; empty when it is
}

var excused = regexp.MustCompile(`^<!-- not run: (.+) -->$`)

// readBlocks returns the blocks of shell commands of a page, and its headings of the
// third order.
func readBlocks(t *testing.T, path string) (blocks []shellBlock, sections []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open *shellBlock
	section, excuse := "", ""
	for i, line := range strings.Split(string(page), "\n") {
		mark := excused.FindStringSubmatch(line)
		switch {
		case open != nil && line == "```":
			blocks, open, excuse = append(blocks, *open), nil, ""
		case open != nil:
			open.text += line + "\n"
		case line == "```sh":
			open = &shellBlock{line: i + 1, section: section, excuse: excuse}
		case mark != nil:
			excuse = mark[1]
		case strings.HasPrefix(line, "### "):
			section = strings.TrimPrefix(line, "### ")
			sections = append(sections, section)
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		case line != "":
			excuse = ""
		}
	}
	return blocks, sections
}

// TestRunbook runs every command of the runbook, in the order of the page, on a
// system with a real Redis, JetStream and FerretDB, which is hurt where a section is
// about that.
func TestRunbook(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq", "redis-cli"} {
		testkit.Program(t, program)
	}
	blocks, _ := readBlocks(t, runbookPage)
	script, notRun := &strings.Builder{}, 0
	files := map[string]string{}
	section := ""
	for _, block := range blocks {
		if block.excuse != "" {
			if notRun++; len(block.excuse) < 20 {
				t.Errorf("%s:%d: %q is no reason", runbookPage, block.line, block.excuse)
			}
			continue
		}
		if block.section != section {
			section = block.section
			fmt.Fprintf(script, "hurt '%s'\n", section)
		}
		name := fmt.Sprintf("runbook-line-%d.sh", block.line)
		files[name] = block.text
		fmt.Fprintf(script, "exec bash -euo pipefail %s\n", name)
	}
	if notRun > maxNotRun || len(files) < 20 {
		t.Fatalf("%d blocks are run, and %d are not, of at most %d", len(files), notRun, maxNotRun)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(script, "-- %s --\n%s", name, files[name])
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "runbook.txtar"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startAttended(t)
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			for name, value := range s.env {
				env.Setenv(name, value)
			}
			env.Setenv("PATH", filepath.Dir(build(t, "realtime"))+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("GATEWAY", s.url(""))
			env.Setenv("JOB", "job")
			env.Setenv("BACKUPS", filepath.Join(env.WorkDir, "backups"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hurt": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(s.hurt(args[0]))
				ts.Setenv("NATS_URL", s.env["NATS_URL"])
			},
		},
	})
}

// attended is a system that the runbook is for.
type attended struct {
	*operated
	redis *testkit.Redis
}

func startAttended(t *testing.T) *attended {
	redis := testkit.StartRedis(t)
	o := startOperated(t, settings{"REDIS_URL": redis.URL()})
	s := &attended{operated: o, redis: redis}
	o.publish("job", 1, 40)
	o.publish("other", 1, 10)
	o.projected()
	return s
}

// hurt does to the system what a section of the runbook is about, as far as one
// machine and a short time allow.
func (s *attended) hurt(section string) error {
	switch section {
	case "RealtimeEventsRejected", "poison-flood":
		return s.poison(5)
	case "redis-outage":
		s.redis.Restart()
	case "gateway-crash":
		s.kill()
		s.start()
		s.env["NATS_URL"] = natsURL(s.gateway)
	case "mongo-loss":
		return s.events.Drop(s.t.Context())
	}
	return nil
}

// poison publishes what cannot be accepted, and waits until it was refused.
func (s *attended) poison(count int) error {
	client := s.redis.Client()
	for i := range count {
		for _, text := range []string{`{"kind":`, `{"kind":"domain","jobId":"other"}`} {
			if err := client.Publish(s.t.Context(), "novel.realtime.events", fmt.Sprintf("%s %d", text, i)).Err(); err != nil {
				return err
			}
		}
	}
	eventually(s.t, "the letters", func() error {
		var letters []struct{ Sequence int }
		s.command(0, &letters, "deadletter", "list")
		if len(letters) < count {
			return fmt.Errorf("%d letters", len(letters))
		}
		return nil
	})
	return nil
}

var (
	alertName  = regexp.MustCompile(`(?m)^ *- alert: (\w+)$`)
	alertPage  = regexp.MustCompile(`(?m)^ *runbook: (\S+)$`)
	metricName = regexp.MustCompile(`realtime_[a-z_]+`)
)

// TestAlerts holds the alert rules against the runbook, the drills and the metrics.
func TestAlerts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	_, sections := readBlocks(t, runbookPage)
	var want, pages []string
	for _, found := range alertName.FindAllStringSubmatch(string(text), -1) {
		want = append(want, found[1])
		pages = append(pages, "docs/ops/runbook.md#"+strings.ToLower(found[1]))
	}
	for i, found := range alertPage.FindAllStringSubmatch(string(text), -1) {
		if i >= len(pages) || found[1] != pages[i] {
			t.Errorf("the page of alert %d is %s", i, found[1])
		}
	}
	var drills []struct{ Name string }
	r := runProgram(t, lab(t), nil, "", "drill", "list", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &drills); err != nil || len(drills) == 0 {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	for _, drill := range drills {
		want = append(want, drill.Name)
	}
	for _, name := range want {
		if !slices.Contains(sections, name) {
			t.Errorf("the runbook has nothing about %s", name)
		}
	}
	for _, section := range sections {
		if !slices.Contains(want, section) {
			t.Errorf("the runbook has a section about %s, which is no alert and no drill", section)
		}
	}

	// Those that nothing was counted in yet are not served.
	golden, err := os.ReadFile("../../fanout/gateway/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	system := startAttended(t)
	// The lag of the projections is measured every two seconds.
	eventually(t, "a gateway has each metric of the alerts", func() error {
		known := system.get("/metrics") + string(golden)
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !strings.Contains(known, "# HELP "+strings.TrimSuffix(name, "_bucket")+" ") {
				return fmt.Errorf("no gateway has the metric %s", name)
			}
		}
		return nil
	})

	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not there: the syntax of the rules is not checked")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", alertsFile).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
