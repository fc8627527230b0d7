package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/operations/doctor"
	"github.com/letswriteabook/realtime/operations/examine"
)

const (
	// needPatience is how long a need may take to be seen as met or not met.
	needPatience = time.Minute
	// needRuns is how often the canary has to fail while one line is expected.
	needRuns  = 3
	needToken = "0123456789abcdef"
)

// needing is a gateway whose backends are taken away in part.
type needing struct {
	t   *testing.T
	cfg config.Config
	url string
	log *lines
	// gateway is what runs.
	gateway *server.App
}

// startNeeding runs a gateway that exercises its backends ten times a second.
func startNeeding(t *testing.T, more map[string]string) *needing {
	t.Helper()
	environ := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s", "DRAIN_SECONDS": "0", "INTERNAL_TOKEN": needToken,
		"CANARY_INTERVAL": "100ms",
	}
	maps.Copy(environ, more)
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	n := &needing{t: t, cfg: cfg, log: &lines{}}
	gateway, err := server.Open(t.Context(), cfg, config.NewLogger(n.log, cfg))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run the gateway: %v", err)
		}
	})
	n.gateway, n.url = gateway, "http://"+gateway.Addr().String()
	return n
}

// outage is what has to be told while a backend does not do what is needed.
type outage struct {
	state string // of health: degraded or not-ready
	part  string // that health names
	says  string // health and doctor: what is wrong
	area  string // of the doctor; empty for what only the gateway can find
	do    string // health or doctor: what to do
	// sample is the beginning of a line of /metrics, which is 1 during the outage.
	sample string
	// warned says that parts of the service may each warn once of what it costs them,
	// beside the one error.
	warned bool
	// alert is a rule that fires, with labels in braces where it has them.
	alert string
}

// during breaks something, and checks everything that is told of it. Then it is mended,
// if mend is not nil, and the gateway has to be well again.
func (n *needing) during(o outage, broken, mend func()) {
	n.t.Helper()
	n.until("the gateway is well", func() error { return n.well(o) })
	before, from := n.get("/metrics"), len(n.log.String())
	broken()
	var said string
	n.until("health names it", func() (err error) {
		var state string
		state, parts := n.health()
		if said = parts[o.part]; state != o.state || !strings.Contains(said, o.says) {
			err = fmt.Errorf("%s %v", state, parts)
		}
		return err
	})
	n.until("the metric says it", func() error {
		if !strings.Contains(n.get("/metrics"), "\n"+o.sample+" 1\n") {
			return fmt.Errorf("no %s 1", o.sample)
		}
		return nil
	})
	leg := "log"
	if slices.Contains([]string{"redis", "mongodb", "ingest", "live", "projections"}, o.part) {
		leg = o.part
	}
	failed := n.runs(leg)
	n.until("the canary has failed some times", func() error {
		if now := n.runs(leg); now < failed+needRuns {
			return fmt.Errorf("%v runs", now-failed)
		}
		return nil
	})
	during := n.get("/metrics")
	if o.area != "" {
		n.examined(o, said)
	}
	n.loggedOnce(o, n.complaints(from))
	n.t.Run("alert "+o.alert, func(t *testing.T) {
		t.Parallel() // when this test has done the rest: the rules are evaluated over what was scraped
		checkAlert(t, o.alert, before, during)
	})
	if mend == nil {
		return
	}
	mend()
	n.until("the gateway is well again", func() error { return n.well(o) })
}

// loggedOnce checks what was logged of an outage: one line for each cause that it turned
// out to have, such as closed connections before a server that does not listen.
func (n *needing) loggedOnce(o outage, told []string) {
	n.t.Helper()
	seen, failed := make(map[string]bool), 0
	for _, line := range told {
		var entry struct{ Level, Msg, Projection, Keeper, Index, Cause, Error string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			n.t.Fatal(err)
		}
		if entry.Level == "ERROR" && strings.Contains(entry.Msg+entry.Error, o.says) {
			failed++
		} else if !o.warned {
			failed = -len(told)
		}
		entry.Error = "" // may be another each time
		if key := fmt.Sprint(entry); seen[key] {
			n.t.Errorf("logged twice: %s", line)
		} else {
			seen[key] = true
		}
	}
	if failed != 1 {
		n.t.Errorf("one outage is logged so:\n%s", strings.Join(told, "\n"))
	}
}

// well returns nil when health is ready, and the metric of an outage is not 1.
func (n *needing) well(o outage) error {
	if state, parts := n.health(); state != "ready" {
		return fmt.Errorf("%s %v", state, parts)
	}
	if strings.Contains(n.get("/metrics"), "\n"+o.sample+" 1\n") {
		return fmt.Errorf("%s is 1", o.sample)
	}
	return nil
}

// nothing is the outage of nothing, for [needing.well].
var nothing = outage{sample: "nothing"}

// examined checks that the doctor finds it, and says what to do.
func (n *needing) examined(o outage, said string) {
	n.t.Helper()
	report := examine.Installation(n.t.Context(), n.cfg, nil, nil)
	for _, check := range report.Checks {
		if check.Level == doctor.Fail && check.Area == o.area && strings.Contains(check.Found, o.says) {
			if check.Do == "" || !strings.Contains(said+check.Found+check.Do, o.do) {
				n.t.Errorf("what to do is not said: %+v, health: %s", check, said)
			}
			return
		}
	}
	n.t.Errorf("the doctor does not find %q in %s: %+v", o.says, o.area, failures(report))
}

// failures returns what failed of a report.
func failures(report doctor.Report) (failed []doctor.Check) {
	for _, check := range report.Checks {
		if check.Level == doctor.Fail {
			failed = append(failed, check)
		}
	}
	return failed
}

// complaints returns the warnings and errors in the log after a place.
func (n *needing) complaints(from int) (told []string) {
	for _, line := range strings.Split(n.log.String()[from:], "\n") {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			told = append(told, line)
		}
	}
	return told
}

// runs returns how often a backend was exercised.
func (n *needing) runs(leg string) (count float64) {
	for _, line := range strings.Split(n.get("/metrics"), "\n") {
		if rest, found := strings.CutPrefix(line, `realtime_app_canary_runs_total{leg="`+leg+`"} `); found {
			_, _ = fmt.Sscan(rest, &count)
		}
	}
	return count
}

// health returns what operators are told.
func (n *needing) health() (state string, parts map[string]string) {
	n.t.Helper()
	var report struct {
		State string
		Parts map[string]string
	}
	if err := json.Unmarshal([]byte(n.get("/health")), &report); err != nil {
		n.t.Fatal(err)
	}
	return report.State, report.Parts
}

func (n *needing) get(path string) string {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, n.url+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+needToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(body)
}

// until waits for what gives no signal.
func (n *needing) until(what string, try func() error) {
	n.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(needPatience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			n.t.Fatalf("not in %s: %s: %v\n%s", needPatience, what, err, n.log.String())
		}
		<-tick.C
	}
}

// checkDocumented checks that the page about permissions has each text.
func checkDocumented(t *testing.T, texts ...string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/ops/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(string(page), text) {
			t.Errorf("docs/ops/permissions.md does not have %s", text)
		}
	}
}
