package architecture_test

import (
	"slices"
	"strings"
	"testing"
)

func TestTheProjectFollowsTheRules(t *testing.T) {
	t.Parallel()
	sources := readSources(t)
	if len(sources) == 0 {
		t.Fatal("found no sources")
	}
	for _, violation := range judgeUses(sources, rules, confinements) {
		t.Error(violation)
	}
	for _, violation := range judgeFiles(sources) {
		t.Error(violation)
	}
}

// Each case is a file that breaks one rule, or one that comes close and does
// not. rule names the folder, or the confined thing, whose rule speaks.
func TestUses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		path string
		use  string
		rule string // empty when the use is allowed
	}{
		{"the contract uses a validator", "messaging/a.go", jsonSchema, ""},
		{"the contract knows no package", "messaging/a.go", module + "/guardrails", "messaging"},
		{"the contract knows no driver", "messaging/a.go", mongo + "/bson", "messaging"},
		{"the contract reads no clock", "messaging/a.go", "time.Now", "messaging"},
		{"a producer knows Redis", "publisher/a.go", redis, ""},
		{"a producer knows no part", "publisher/a.go", module + "/eventstore", "publisher"},
		{"policy speaks the contract", "guardrails/a.go", module + "/messaging", ""},
		{"policy is given the time", "guardrails/a.go", "time.Duration", ""},
		{"policy reads no clock", "guardrails/a.go", "time.Now", "guardrails"},
		{"policy starts nothing", "guardrails/a.go", goStatement, "guardrails"},
		{"policy does not log", "guardrails/a.go", "log/slog", "guardrails"},
		{"policy exports no metrics", "guardrails/a.go", prometheus + "/prometheus", "guardrails"},
		{"ingest owns Redis", "ingest/a.go", redis, ""},
		{"ingest knows no NATS", "ingest/a.go", natsClient, "ingest"},
		{"ingest does not know the log's package", "ingest/a.go", module + "/eventstore", "ingest"},
		{"a test of ingest may use the log", "ingest/a_test.go", module + "/eventstore", ""},
		{"the log owns JetStream", "eventstore/a.go", natsClient + "/jetstream", ""},
		{"the log knows no Redis", "eventstore/a.go", redis, "eventstore"},
		{"projections own MongoDB", "projections/a.go", mongo + "/mongo", ""},
		{"projections know no NATS", "projections/a.go", natsClient + "/jetstream", "projections"},
		{"the gateway uses its protocol", "fanout/gateway/a.go", module + "/fanout/socketio", ""},
		{"the gateway uses the hub", "fanout/gateway/a.go", module + "/fanout/hub", ""},
		{"the gateway asks the policy", "fanout/gateway/a.go", module + "/guardrails", ""},
		{"the gateway knows no store", "fanout/gateway/a.go", mongo + "/mongo", "fanout/gateway"},
		{"a subfolder inherits", "fanout/gateway/inner/a.go", redis, "fanout/gateway"},
		{"the hub counts", "fanout/hub/a.go", prometheus + "/prometheus", ""},
		{"the hub knows no HTTP", "fanout/hub/a.go", "net/http", "fanout/hub"},
		{"the hub knows no sockets", "fanout/hub/a.go", module + "/fanout/socketio", "fanout/hub"},
		{"the hub knows no gateway", "fanout/hub/a.go", module + "/fanout/gateway", "fanout/hub"},
		{"the recorder imports no part", "fanout/recorder/a.go", module + "/messaging", "fanout/recorder"},
		{"descriptions of clients import no gateway", "fanout/clients/a.go", module + "/fanout/gateway", "fanout/clients"},
		{"the transport uses gorilla", "fanout/engineio/a.go", gorilla, ""},
		{"the transport drains as event streams do", "fanout/engineio/a.go", module + "/fanout/internal/drain", ""},
		{"containing panics imports nothing", "internal/contain/a.go", module + "/messaging", "internal/contain"},
		{"who sends a request depends on no setting", "internal/caller/a.go", module + "/internal/config", "internal/caller"},
		{"replacing a file imports no part", "internal/wholefile/a.go", module + "/messaging", "internal/wholefile"},
		{"a book of outages imports no part", "internal/outage/a.go", module + "/messaging", "internal/outage"},
		{"measuring imports no part", "internal/measure/a.go", module + "/messaging", "internal/measure"},
		{"spans are recorded with OpenTelemetry", "internal/tracing/a.go", otel + "/trace", ""},
		{"tracing imports no part", "internal/tracing/a.go", module + "/ingest", "internal/tracing"},
		{"the hub knows nothing of OpenTelemetry", "fanout/hub/a.go", otel + "/trace", "fanout/hub"},
		{"draining knows no transport", "fanout/internal/drain/a.go", module + "/fanout/engineio", "fanout/internal/drain"},
		{"waiting knows no log", "internal/wait/a.go", module + "/eventstore", "internal/wait"},
		{"the transport knows no contract", "fanout/engineio/a.go", module + "/messaging", "fanout/engineio"},
		{"the protocol uses the transport", "fanout/socketio/a.go", module + "/fanout/engineio", ""},
		{"the protocol knows no gateway", "fanout/socketio/a.go", module + "/fanout/gateway", "fanout/socketio"},
		{"what is kept beside the log knows it", "eventstore/sessions/a.go", module + "/eventstore", ""},
		{"requests know no layout", "eventstore/internal/jet/a.go", module + "/eventstore/internal/layout", "eventstore/internal/jet"},
		{"the layout knows no log", "eventstore/internal/layout/a.go", module + "/eventstore", "eventstore/internal/layout"},
		{"leases know no log", "eventstore/lease/a.go", module + "/eventstore", "eventstore/lease"},
		{"an archive knows no log", "eventstore/archive/a.go", module + "/eventstore", "eventstore/archive"},
		{"the audit trail knows no log", "eventstore/audit/a.go", module + "/eventstore", "eventstore/audit"},
		{"a tool uses the parts", "operations/a.go", module + "/eventstore", ""},
		{"a tool knows no driver", "operations/a.go", natsClient, "operations"},
		{"a tool knows no gateway", "operations/a.go", module + "/internal/server", "operations"},
		{"the servers are asked", "operations/examine/a.go", redis, ""},
		{"who asks the servers has no operator", "operations/examine/a.go", module + "/operations", "operations/examine"},
		{"backends know no gateway", "internal/backends/a.go", module + "/internal/server", "internal/backends"},
		{"the operators' API looks at dead letters", "internal/admin/a.go", module + "/operations/deadletters", ""},
		{"the operators' API erases nothing", "internal/admin/a.go", module + "/operations/erasure", "internal/admin"},
		{"the console asks the API", "internal/console/a.go", module + "/internal/admin", "internal/console"},
		{"the machine knows no settings", "internal/machine/a.go", module + "/internal/config", "internal/machine"},
		{"the lab starts processes", "lab/processes/a.go", "os/exec", ""},
		{"the lab has the cluster's files", "lab/processes/a.go", module + "/deploy/cluster", ""},
		{"the cluster's files import nothing", "deploy/cluster/a.go", module + "/messaging", "deploy/cluster"},
		{"the bill of a release imports no part", "deploy/release/bill/a.go", module + "/messaging", "deploy/release/bill"},
		{"the lab knows no part", "lab/processes/a.go", module + "/eventstore", "lab/processes"},
		{"the doctor asks no server", "operations/doctor/a.go", module + "/eventstore", "operations/doctor"},
		{"an erasure works on the log", "operations/erasure/a.go", module + "/eventstore", ""},
		{"an erasure knows no gateway", "operations/erasure/a.go", module + "/fanout/gateway", "operations/erasure"},
		{"the lab has nothing of the service", "lab/a.go", module + "/eventstore", "lab"},
		{"a benchmark knows no part", "lab/bench/a.go", module + "/eventstore", "lab/bench"},
		{"the baseline knows no part", "lab/baseline/a.go", module + "/eventstore", "lab/baseline"},
		{"a volume is a file system", "lab/volume/a.go", "github.com/hanwen/go-fuse/v2/fs", ""},
		{"a volume knows no program", "lab/volume/a.go", module + "/lab/processes", "lab/volume"},
		{"the judge knows files", "lab/oracle/a.go", module + "/eventstore", "lab/oracle"},
		{"a report has verdicts", "lab/report/a.go", module + "/lab/oracle", ""},
		{"a report knows no lab", "lab/report/a.go", module + "/lab/processes", "lab/report"},
		{"a fault publishes on Redis", "lab/faults/a.go", redis, ""},
		{"a fault writes documents as a worker does", "lab/faults/a.go", mongo, ""},
		{"a fault uses the lab", "lab/faults/a.go", module + "/lab/processes", ""},
		{"a fault is no part of the service", "lab/faults/a.go", module + "/ingest", "lab/faults"},
		{"a drill uses the frame of the faults", "lab/drills/a.go", module + "/lab/faults", ""},
		{"a drill knows no driver", "lab/drills/a.go", redis, "lab/drills"},
		{"the harness speaks the contract", "lab/load/a.go", module + "/messaging", ""},
		{"the harness knows no server package", "lab/load/a.go", module + "/fanout/gateway", "lab/load"},
		{"the application wires", "internal/server/a.go", module + "/projections", ""},
		{"the gateway gives the API operations", "internal/server/a.go", module + "/operations/work", ""},
		{"the gateway runs no drills", "internal/server/a.go", module + "/lab/drills", "internal/server"},
		{"long work is done by operations", "operations/work/a.go", module + "/operations/replay", ""},
		{"long work knows no gateway", "operations/work/a.go", module + "/internal/server", "operations/work"},
		{"nothing imports a command", "internal/natsserver/a.go", module + "/cmd/realtime", "internal"},
		{"settings know no gateway", "internal/config/a.go", module + "/fanout/gateway", "internal/config"},
		{"a command runs the application", "cmd/realtime/a.go", module + "/internal/server", ""},
		{"the server's command runs no drills", "cmd/realtime/a.go", module + "/lab/drills", "cmd/realtime"},
		{"command lines know no part", "internal/cli/a.go", module + "/messaging", "internal/cli"},
		{"a command runs operations", "cmd/realtime/a.go", module + "/operations/replay", ""},
		{"a command leaves the parts to others", "cmd/realtime/a.go", module + "/fanout/hub", "cmd/realtime"},
		{"the lab's command runs faults", "cmd/realtime-lab/a.go", module + "/lab/faults", ""},
		{"the lab's command leaves the parts to others", "cmd/realtime-lab/a.go", module + "/eventstore", "cmd/realtime-lab"},
		{"the development command has the stack", "cmd/realtime-dev/a.go", module + "/internal/devstack", ""},
		{"the development command leaves the parts too", "cmd/realtime-dev/a.go", module + "/eventstore", "cmd/realtime-dev"},
		{"a folder without a rule", "somewhere/a.go", "fmt", "none"},

		{"FerretDB in the stack", "internal/devstack/a.go", ferretDB + "/ferretdb", ""},
		{"FerretDB in a test elsewhere", "projections/a_test.go", ferretDB + "/ferretdb", ferretDB},
		{"miniredis in the application", "internal/server/a.go", miniredis, miniredis},
		{"miniredis in a test", "ingest/a_test.go", miniredis, ""},
		{"the stack in the application", "internal/server/a.go", module + "/internal/devstack", "internal/devstack"},
		{"the stack in the server's command", "cmd/realtime/a.go", module + "/internal/devstack", "internal/devstack"},
		{"the stack in a test", "projections/a_test.go", module + "/internal/devstack", ""},
		{"a NATS server in the application", "internal/server/a.go", natsServer + "/server", natsServer},
		{"a NATS server in its package", "internal/natsserver/a.go", natsServer + "/server", ""},
		{"melody outside the gateway", "internal/server/a.go", melody, melody},
		{"the test kit in what ships", "internal/server/a.go", module + "/internal/testkit", "internal/testkit"},
		{"the test kit in a test", "ingest/a_test.go", module + "/internal/testkit", ""},
		{"the environment in a part", "ingest/a.go", "os.Getenv", "os.Getenv"},
		{"the environment parser in a part", "internal/natsserver/a.go", envParser, "os.Getenv"},
		{"the environment in a test", "ingest/a_test.go", "os.Getenv", ""},
		{"the environment in the settings", "internal/config/a.go", envParser, ""},
	}
	broken := map[string]bool{}
	for _, test := range tests {
		if test.rule != "" {
			broken[test.rule] = true
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := use{name: test.use, line: 7, imports: test.use != goStatement && !strings.HasPrefix(test.use, "time.") && !strings.HasPrefix(test.use, "os.")}
			file := source{path: test.path, test: strings.HasSuffix(test.path, "_test.go"), uses: []use{u}}
			violations := judgeUses([]source{file}, rules, confinements)
			if test.rule == "" {
				if len(violations) != 0 {
					t.Fatalf("reported although it is allowed: %q", violations)
				}
				return
			}
			if len(violations) != 1 {
				t.Fatalf("got %d violations, want one: %q", len(violations), violations)
			}
			for _, part := range []string{test.path, reason(test.rule)} {
				if !strings.Contains(violations[0], part) {
					t.Errorf("%q does not name %q", violations[0], part)
				}
			}
		})
	}
	for _, r := range rules {
		if !broken[r.folder] {
			t.Errorf("no case breaks the rule of %s", r.folder)
		}
	}
	for _, c := range confinements {
		if !broken[c.what[0]] {
			t.Errorf("no case breaks the confinement of %s", c.what[0])
		}
	}
}

// reason is the text a violation of the named rule must carry.
func reason(name string) string {
	for _, r := range rules {
		if r.folder == name && name != "internal" {
			return r.why
		}
	}
	for _, c := range confinements {
		if slices.Contains(c.what, name) {
			return c.why
		}
	}
	if name == "internal" {
		return "nothing imports a command"
	}
	return "no rule covers the folder"
}

func TestFiles(t *testing.T) {
	t.Parallel()
	sources := []source{
		{path: "good/doc.go", documented: true, lines: 3},
		{path: "good/long.go", lines: maxLines},
		{path: "good/long_test.go", lines: maxTestLines, test: true},
		{path: "command/main.go", documented: true, lines: 3},
		{path: "bad/doc.go", lines: 3},
		{path: "bad/other.go", documented: true, lines: 3},
		{path: "bad/longer.go", lines: maxLines + 1},
		{path: "worse/longer_test.go", lines: maxTestLines + 1, test: true},
	}
	violations := judgeFiles(sources)
	want := []string{
		"bad/longer.go: 601 lines, at most 600: split it by subject",
		"worse/longer_test.go: 801 lines, at most 800: split it by subject",
		"bad: no doc.go with a package comment",
		"worse: no doc.go with a package comment",
	}
	if !slices.Equal(violations, want) {
		t.Errorf("got  %q\nwant %q", violations, want)
	}
}

func TestParseSource(t *testing.T) {
	t.Parallel()
	text := "// Package x is documented.\npackage x\n\nimport (\n\tsystem \"os\"\n\n\t\"" + melody + "\"\n)\n\n" +
		"func f() {\n\tgo melody.New()\n\tsystem.Getenv(\"A\")\n}\n"
	parsed, err := parseSource("x/a.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.documented || parsed.test || parsed.lines != 13 {
		t.Errorf("got documented=%v test=%v lines=%d", parsed.documented, parsed.test, parsed.lines)
	}
	want := []use{
		{name: "os", line: 5, imports: true},
		{name: melody, line: 7, imports: true},
		{name: goStatement, line: 11},
		{name: "os.Getenv", line: 12},
	}
	if !slices.Equal(parsed.uses, want) {
		t.Errorf("got  %v\nwant %v", parsed.uses, want)
	}
}
