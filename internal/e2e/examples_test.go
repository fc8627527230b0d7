package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// notRun are the commands whose examples are not run: they do not end by themselves, take ten
// minutes, or put another log below the gateway of the test. Their flags are compared with the
// commands by TestExamplesAreTaken in each cmd folder.
var notRun = []string{"serve", "tail", "check --", "restore /backups/2026-03-01 --replace"}

// refused are the examples that fail on a small system without what they are about: a second
// backup in one folder, one of another tool, an empty log, other servers, a shadow.
var refused = []string{"-01 -o json", "--adopt", "realtime restore /backups/2026-03-01", "--replicas 3", "--shadow"}

// exampleText is an example in the source of a command.
var exampleText = regexp.MustCompile("Example: `([^`]*)`")

// TestExamplesRun runs the examples in the help of the commands of realtime, in the order of
// the source, on a system with a real Redis, JetStream and FerretDB. Each succeeds, or finds
// nothing to do.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "jq"} {
		testkit.Program(t, program)
	}
	s := startAttended(t)
	for _, job := range []string{"novel-7", "job-1", "job-42"} {
		s.publish(job, 1, 3)
	}
	s.projected()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"events.ndjson": `{"kind":"job-status","jobId":"job-42","status":"running"}` + "\n",
		"kinds.json":    `{"kinds":[{"kind":"review","socketEvent":"novel.review","payload":["stars"],"schema":{"required":["stars"]}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../../cmd/realtime/*.go")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/backups/", dir+"/backups/", "/etc/realtime/", dir+"/", "http://gateway-2:3001", s.url(""))
	environment := regexp.MustCompile(`^([A-Z_]+_URL=\S+ )+`) // of other backends
	var run []string
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range exampleText.FindAllStringSubmatch(string(text), -1) {
			for _, line := range testkit.ExampleLines(found[1]) {
				left := slices.ContainsFunc(notRun, func(name string) bool { return strings.Contains(line, "realtime "+name) })
				if !left && !slices.Contains(run, line) {
					run = append(run, line)
				}
			}
		}
	}
	if len(run) < 40 {
		t.Fatalf("%d examples", len(run))
	}
	for _, line := range run {
		command := exec.CommandContext(t.Context(), "bash", "-c", "set -o pipefail; "+here.Replace(environment.ReplaceAllString(line, "")))
		command.Dir = dir
		command.Env = append(environ(s.env), "PORT="+s.port, "PATH="+filepath.Dir(build(t, "realtime"))+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		mayFail := slices.ContainsFunc(refused, func(part string) bool { return strings.Contains(line, part) })
		switch status := command.ProcessState.ExitCode(); {
		case status == 0, status == 3, status == 1 && mayFail:
		default:
			t.Errorf("%s: status %d, %v\n%s", line, status, err, out)
		}
	}
}
