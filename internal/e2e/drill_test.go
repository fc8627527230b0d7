package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// drillSettings are an environment in which drills find redis-server and nats-server,
// and their temporary folder.
func drillSettings(t *testing.T) settings {
	t.Helper()
	redis, dir := testkit.Program(t, "redis-server"), t.TempDir()
	if output, err := exec.Command("go", "build", "-o", dir, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, output)
	}
	return settings{"PATH": dir + string(filepath.ListSeparator) + filepath.Dir(redis), "TMPDIR": t.TempDir()}
}

// lab builds realtime-lab, and realtime, which drills look for beside it.
func lab(t testing.TB) string {
	t.Helper()
	build(t, "realtime")
	return build(t, "realtime-lab")
}

// nothingLeft fails the test when the temporary folder has something in it, or a
// process that was started with it runs.
func nothingLeft(t *testing.T, folder string) {
	t.Helper()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		environment, err := os.ReadFile(path)
		if err == nil && bytes.Contains(environment, []byte(folder)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			t.Errorf("still runs: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}

// A drill passes, shows what it did, and writes its report.
func TestDrillCommand(t *testing.T) {
	t.Parallel()
	env, out := drillSettings(t), filepath.Join(t.TempDir(), "reports")
	r := runProgram(t, lab(t), env, "", "drill", "poison-flood", "--events", "40", "--out", out, "-o", "json")
	var shown []struct {
		Name, Folder string
		Result       struct {
			Status  string
			Verdict struct{ Lost, Acknowledged int }
		}
	}
	// How long the recovery may take is not for a busy machine to say: 3.
	if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil || (r.code != 0 && r.code != 3) {
		t.Fatalf("status %d, %v:\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if len(shown) != 1 || shown[0].Name != "poison-flood" || shown[0].Result.Verdict.Lost != 0 || shown[0].Result.Verdict.Acknowledged < 300 ||
		(shown[0].Result.Status == "passed") != (r.code == 0) || !strings.Contains(r.stderr, "fault: ") {
		t.Errorf("status %d, %+v:\n%s", r.code, shown, r.stderr)
	}
	for _, name := range []string{"report.json", "report.md", "report.html"} {
		if text, err := os.ReadFile(filepath.Join(out, "poison-flood", name)); err != nil || !bytes.Contains(text, []byte("poison-flood")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nothingLeft(t, env["TMPDIR"])
}

// An interruption ends what a drill started, and leaves no report.
func TestInterruptedDrillCommand(t *testing.T) {
	t.Parallel()
	env, dir := drillSettings(t), t.TempDir()
	command := exec.CommandContext(t.Context(), lab(t), "drill", "redis-outage", "--outage", "5m")
	command.Dir, command.Env = dir, environ(env)
	told, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	interrupted := false
	for lines := bufio.NewScanner(told); lines.Scan(); {
		t.Log(lines.Text())
		if strings.Contains(lines.Text(), "fault: ") {
			interrupted = true
			if err := command.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !interrupted {
		t.Errorf("ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("wrote %v, %v", left, err)
	}
	nothingLeft(t, env["TMPDIR"])
}

// What cannot run says why, with status 2.
func TestDrillsThatCannotRun(t *testing.T) {
	t.Parallel()
	if r := runProgram(t, lab(t), nil, "", "drill", "list", "-o", "json"); r.code != 0 || strings.Count(r.stdout, `"name"`) != 6 {
		t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for words, args := range map[string][]string{
		"no such drill":           {"earthquake"},
		"requires at least 1 arg": {},
		"outage: 1h0m0s":          {"redis-outage", "--outage", "1h"},
		"want table or json":      {"redis-outage", "-o", "xml"},
	} {
		if r := runProgram(t, lab(t), nil, "", append([]string{"drill"}, args...)...); r.code != 2 || !strings.Contains(r.stderr, words) {
			t.Errorf("%q: status %d: %s", args, r.code, r.stderr)
		}
	}
	if r := runProgram(t, lab(t), settings{"PATH": t.TempDir()}, "", "drill", "redis-outage"); r.code != 2 || !strings.Contains(r.stderr, "redis-server is not on the PATH") {
		t.Errorf("without redis-server: status %d: %s", r.code, r.stderr)
	}
	redis := testkit.Program(t, "redis-server")
	if r := runProgram(t, lab(t), settings{"PATH": t.TempDir() + string(filepath.ListSeparator) + filepath.Dir(redis)}, "", "drill", "node-loss"); r.code != 2 ||
		!strings.Contains(r.stderr, "nats-server is neither beside realtime-lab nor on the PATH") {
		t.Errorf("without nats-server: status %d: %s", r.code, r.stderr)
	}
}

// On a system that runs a drill says what it would do and does nothing; told that
// one knows, it does it, and leaves nothing of its own.
func TestDrillOnARunningSystem(t *testing.T) {
	t.Parallel()
	o := startOperated(t, settings{"REDIS_URL": testkit.StartRedis(t).URL()})
	o.publish("job", 1, 30)
	out := filepath.Join(t.TempDir(), "reports")
	for words, args := range map[string][]string{
		"nothing was done: say --i-know":       {"poison-flood", "--url", o.url("")},
		"only one drill at a time":             {"all", "--url", o.url("")},
		"need --url":                           {"poison-flood", "--i-know"},
		"want a gateway's base URL":            {"poison-flood", "--url", o.address()},
		"--url is empty":                       {"poison-flood", "--url", ""},
		"--down and --up are not for it":       {"poison-flood", "--url", o.url(""), "--i-know", "--up", "true"},
		"cannot run here":                      {"poison-flood", "--url", "http://127.0.0.1:1", "--i-know"},
		"would be lost, by the drill itself":   {"log-restore", "--url", o.url(""), "--i-know"},
		"say with --down and --up":             {"node-loss", "--url", o.url(""), "--i-know"},
		"a second gateway to go to: name both": {"gateway-crash", "--url", o.url(""), "--i-know", "--down", "true", "--up", "true"},
	} {
		if r := runProgram(t, lab(t), o.env, "", append([]string{"drill", "--out", out}, args...)...); !strings.Contains(r.stderr, words) {
			t.Errorf("%q says:\n%s", args, r.stderr)
		}
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was refused has a report: %v", err)
	}
	r := runProgram(t, lab(t), o.env, "", "drill", "poison-flood", "--events", "40", "--out", out, "--url", o.url(""), "--i-know")
	// How long the recovery may take is not for a busy machine to say: 3.
	if (r.code != 0 && !strings.Contains(r.stdout, "recovery took")) || !strings.Contains(r.stderr, "publish 40 events that cannot be accepted") {
		t.Fatalf("status %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if text, err := os.ReadFile(filepath.Join(out, "poison-flood", "report.md")); err != nil || !bytes.Contains(text, []byte("running: "+o.url(""))) {
		t.Errorf("the report does not name the system: %v\n%s", err, text)
	}
	var erased []struct{ JobID, Reason, State string }
	o.command(0, &erased, "audit", "list")
	jobs := map[string]bool{}
	for _, note := range erased {
		if !strings.HasPrefix(note.JobID, "drill-") || note.Reason != "the end of the drill poison-flood" {
			t.Errorf("erased: %+v", note)
		}
		jobs[note.JobID] = true
	}
	if len(jobs) != 3 {
		t.Errorf("%d jobs of the drill were erased, want 3: %+v", len(jobs), erased)
	}
	o.projected()
	if documents, err := o.events.CountDocuments(t.Context(), map[string]any{"jobId": map[string]any{"$exists": true}}); err != nil || documents != 30 {
		t.Errorf("%d documents are left, want the 30 of before: %v", documents, err)
	}
}

// A report that cannot be written is refused before anything is started.
func TestDrillChecksItsReportFirst(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	r := runProgram(t, lab(t), settings{"PATH": t.TempDir(), "TMPDIR": temporary}, "", "drill", "poison-flood", "--out", filepath.Join(file, "reports"))
	if r.code != 1 || !strings.Contains(r.reason(), "the report of drill poison-flood cannot be written") {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
	nothingLeft(t, temporary)
}

// What has moved to realtime-lab answers with one line that says so.
func TestMovedCommands(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"loadtest", "drill"} {
		r := run(t, nil, "", name, "all", "--out", "x")
		if want := "realtime: the command has moved: run realtime-lab " + name + "\n"; r.code != 2 || r.stdout != "" || r.stderr != want {
			t.Errorf("%s: status %d, %q, %q; want 2 and %q", name, r.code, r.stdout, r.stderr, want)
		}
	}
}
