package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// result is what a command that has ended left behind.
type result struct {
	code           int
	stdout, stderr string
}

// run executes a command of realtime.
func run(t *testing.T, env settings, input string, args ...string) result {
	t.Helper()
	return runProgram(t, build(t, "realtime"), env, input, args...)
}

// runProgram executes a program in an empty folder and with nothing in its
// environment but the settings, until it ends by itself.
func runProgram(t *testing.T, program string, env settings, input string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = t.TempDir()
	command.Env = environ(env)
	command.Stdin = strings.NewReader(input)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%q did not end in %s:\n%s%s", args, patience, stdout.String(), stderr.String())
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// reason is what the program says of its end, after everything it logged: from
// its own name on.
func (r result) reason() string {
	lines := strings.Split(r.stderr, "\n")
	for i, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "realtime: ") || strings.HasPrefix(line, "realtime-dev: ") || strings.HasPrefix(line, "realtime-lab: ") {
			return strings.Join(lines[i:], "\n")
		}
	}
	return ""
}

func TestPublishCommand(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	startGateway(t, settings{"REDIS_URL": redis.URL()})
	env := settings{"REDIS_URL": redis.URL()}
	status := func(id string) string {
		return `{"kind":"job-status","jobId":"command","status":"running","id":"` + id + `"}`
	}
	tests := []struct {
		name     string
		args     []string
		input    string
		code     int
		receipts []messaging.Receipt
		complain string
	}{
		{
			name: "one", args: []string{status("a")},
			receipts: []messaging.Receipt{{ID: "a", JobID: "command", Sequence: 1}},
		},
		{
			name: "lines, one of them again", input: status("b") + "\n" + status("c") + "\n" + status("a") + "\n",
			receipts: []messaging.Receipt{
				{ID: "b", JobID: "command", Sequence: 2},
				{ID: "c", JobID: "command", Sequence: 3},
				{ID: "a", JobID: "command", Sequence: 1, Duplicate: true},
			},
		},
		{
			name: "a bad line among good ones", input: status("d") + "\nnot JSON\n" + status("e") + "\n", code: 1,
			receipts: []messaging.Receipt{{ID: "d", JobID: "command", Sequence: 4}, {ID: "e", JobID: "command", Sequence: 5}},
			complain: "line 2",
		},
		{
			name: "a line that is far too long among good ones", input: status("f") + "\n" + strings.Repeat("x", 3_000_000) + "\n" + status("g") + "\n", code: 1,
			receipts: []messaging.Receipt{{ID: "f", JobID: "command", Sequence: 6}, {ID: "g", JobID: "command", Sequence: 7}},
			complain: "line 2: too-large",
		},
		{
			name: "a field that is wrong", args: []string{`{"kind":"job-status","jobId":"command","status":"asleep"}`}, code: 1,
			complain: "status",
		},
	}
	for _, test := range tests { // in order: each one's sequences follow
		r := run(t, env, test.input, append([]string{"publish"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.stderr, test.complain) {
			t.Errorf("%s: status %d, want %d and %q: %s", test.name, r.code, test.code, test.complain, r.stderr)
		}
		decoder := json.NewDecoder(strings.NewReader(r.stdout))
		for _, want := range test.receipts {
			var got messaging.Receipt
			if err := decoder.Decode(&got); err != nil || got != want {
				t.Errorf("%s: got %+v, want %+v: %v", test.name, got, want, err)
			}
		}
		if decoder.More() {
			t.Errorf("%s: more receipts than events: %s", test.name, r.stdout)
		}
	}
}

func TestConfigCommand(t *testing.T) {
	t.Parallel()
	env := settings{
		"REDIS_URL":   "redis://user:hunter2@redis.example:6379",
		"MONGODB_URI": "mongodb://user:hunter2@mongo.example/novel",
		"NATS_URL":    "nats://user:hunter2@nats.example:4222",
		"PORT":        "4001",
	}
	table := run(t, env, "", "config")
	if table.code != 0 || !strings.Contains(table.stdout, "4001") || !strings.Contains(table.stdout, "redis.example") {
		t.Errorf("status %d:\n%s%s", table.code, table.stdout, table.stderr)
	}
	list := run(t, env, "", "config", "--output", "json")
	for _, r := range []result{table, list} {
		if strings.Contains(r.stdout+r.stderr, "hunter2") {
			t.Errorf("a password is shown:\n%s", r.stdout)
		}
	}
	var all []struct{ Name, Default string }
	if err := json.Unmarshal([]byte(list.stdout), &all); err != nil || len(all) == 0 {
		t.Fatalf("got %d settings: %v", len(all), err)
	}
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range all {
		row := "| `" + setting.Name + "` | | "
		if setting.Default != "" {
			row = "| `" + setting.Name + "` | `" + setting.Default + "` | "
		}
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/configuration.md has no row %s", row)
		}
	}
}

// A command that cannot do what it was asked to says why when it ends.
func TestCommandsThatCannotRun(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  settings
		args []string
		code int
		says []string
	}{
		{"a port that is none", settings{"PORT": "http"}, []string{"serve"}, 2, []string{"PORT", `"http"`}},
		{"a port out of range", settings{"PORT": "70000"}, []string{"serve"}, 2, []string{"PORT", `"70000"`, "65535"}},
		{"no subscriptions", settings{"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "0"}, []string{"serve"}, 2, []string{"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT", `"0"`, "1 or more"}},
		{"a negative timeout", settings{"SOCKET_IDLE_TIMEOUT_MS": "-1"}, []string{"serve"}, 2, []string{"SOCKET_IDLE_TIMEOUT_MS", `"-1"`}},
		{"an unknown way to sync", settings{"NATS_SYNC": "sometimes"}, []string{"serve"}, 2, []string{"NATS_SYNC", `"sometimes"`, "always"}},
		{"another protocol's URL", settings{"REDIS_URL": "http://redis.example"}, []string{"serve"}, 2, []string{"REDIS_URL", "http://redis.example"}},
		{"a wrong setting of config", settings{"LOG_LEVEL": "loud"}, []string{"config"}, 2, []string{"LOG_LEVEL", `"loud"`, "debug"}},
		{"an unknown flag", nil, []string{"serve", "--fast"}, 2, []string{"--fast"}},
		{"an unknown command", nil, []string{"conquer"}, 2, []string{"conquer"}},
		{"too many arguments", nil, []string{"publish", "{}", "{}"}, 2, []string{"arg"}},
		{"publish without Redis", nil, []string{"publish", "{}"}, 2, []string{"REDIS_URL"}},
		{"a catalogue that is not there", settings{"PORT": "0", "CATALOGUE_FILE": "no-such-file.json"}, []string{"serve"}, 2, []string{"no-such-file.json"}},
		{"a taken port", settings{"PORT": port}, []string{"serve"}, 1, []string{port, "in use"}},
		{"NATS that is not there", settings{"PORT": "0", "NATS_URL": "nats://127.0.0.1:1"}, []string{"serve"}, 1, []string{"127.0.0.1:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, test.env, "", test.args...)
			if r.code != test.code {
				t.Errorf("status %d, want %d", r.code, test.code)
			}
			for _, part := range test.says {
				if !strings.Contains(r.reason(), part) {
					t.Errorf("the reason does not say %q", part)
				}
			}
			if strings.Contains(r.stderr, "goroutine ") {
				t.Error("it panicked")
			}
			if t.Failed() {
				t.Log(r.stderr)
			}
		})
	}
}

// What drivers have to say of a server that is away is not written beside the command's
// own error.
func TestDriversAreSilentInCommands(t *testing.T) {
	t.Parallel()
	r := run(t, settings{"REDIS_URL": "redis://127.0.0.1:1"}, `{"kind":"domain","jobId":"j","id":"a","event":{"type":"t","occurredAt":"x"}}`+"\n", "publish")
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "realtime: ") {
			t.Errorf("a line of a driver: %s", line)
		}
	}
	if r.code != 1 || r.stderr == "" {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
}

// What drivers and the embedded NATS server write of their own accord is part of the
// gateway's log, each line of which is JSON.
func TestDriversWriteIntoTheLog(t *testing.T) {
	t.Parallel()
	g := startGateway(t, settings{
		"LOG_LEVEL": "debug", "MONGODB_LOG_ALL": "debug", "MONGODB_URI": "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=500", "NATS_LISTEN": "127.0.0.1:0",
	})
	eventually(t, "the drivers write", func() error {
		text := strings.Join(g.output.lines(), "\n")
		for _, said := range []string{`"msg":"mongodb driver"`, `Starting nats-server`} {
			if !strings.Contains(text, said) {
				return fmt.Errorf("no %s", said)
			}
		}
		return nil
	})
	g.stop()
	for _, line := range g.output.lines() {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line beside the log: %s", line)
		}
	}
}
