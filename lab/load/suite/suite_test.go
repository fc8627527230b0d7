package suite_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/scenario"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// page is a metrics page without limits.
const page = `{"totalConnections":0,"totalSubscriptions":0,"connectionsPerOrigin":{},"subscribersPerJob":{},"idleClients":0,
	"maxConnections":0,"maxConnectionsPerOrigin":0,"maxSubscriptionsPerClient":20,"idleTimeoutMs":0,"lastCatchUp":{}}`

// options are those of a suite against a gateway that has a page and nothing else:
// what is about limits is skipped, and everything else fails.
func options(t *testing.T, names ...string) suite.Options {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/internal/realtime/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(server.Close)
	cfg := load.DefaultConfig()
	cfg.APIURL = strings.Replace(server.URL, "http://", "http://user:secret@", 1)
	o := suite.Options{Label: "L", Dir: filepath.Join(t.TempDir(), "out"), Env: scenario.Env{Config: cfg}, Repeat: 1}
	for _, name := range names {
		s, known := scenario.Find(name)
		if !known {
			t.Fatal(name)
		}
		o.Scenarios = append(o.Scenarios, s)
	}
	return o
}

// A suite leaves the files that it promises, runs on after a failure, and says that
// there was one.
func TestFiles(t *testing.T) {
	t.Parallel()
	o := options(t, "subscription-cap", "connection-quota")
	var told []string
	o.Done = func(r load.Result) { told = append(told, r.Scenario+" "+string(r.Status)) }
	summary, results, err := suite.Run(t.Context(), o)
	if !errors.Is(err, suite.ErrFailed) || len(results) != 2 {
		t.Fatalf("got %v, %d results", err, len(results))
	}
	if want := []string{"subscription-cap failed", "connection-quota skipped"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if summary.Failed != 1 || summary.Skipped != 1 || summary.Status != load.Failed {
		t.Errorf("got %+v", summary)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		text, err := os.ReadFile(filepath.Join(o.Dir, entry.Name()))
		if err != nil || !json.Valid(text) || strings.Contains(string(text), "secret") {
			t.Errorf("%s: %v, %s", entry.Name(), err, text)
		}
	}
	want := []string{
		"L-after-connection-quota-metrics.json", "L-after-metrics.json", "L-after-subscription-cap-metrics.json", "L-before-metrics.json",
		"connection-quota.json", "subscription-cap.json", "suite-summary.json",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
}

// Skipped scenarios alone fail nothing, unless none may be skipped, and a suite without a gateway, or that is
// interrupted, is an error.
func TestEnds(t *testing.T) {
	t.Parallel()
	if summary, _, err := suite.Run(t.Context(), options(t, "connection-quota", "origin-quota")); err != nil || summary.Status != load.Passed {
		t.Errorf("got %v, %+v", err, summary)
	}
	demanding := options(t, "connection-quota", "origin-quota")
	demanding.NoSkips = true
	if summary, results, err := suite.Run(t.Context(), demanding); !errors.Is(err, suite.ErrFailed) || summary.Failed != 2 || !strings.Contains(results[0].Reason, "skipped: the gateway has no limit") {
		t.Errorf("without skips: %v, %+v", err, summary)
	}
	o := options(t, "connection-quota")
	o.Env.Config.APIURL = "http://127.0.0.1:1"
	if _, _, err := suite.Run(t.Context(), o); err == nil || errors.Is(err, suite.ErrFailed) {
		t.Errorf("without a gateway: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o = options(t, "connection-quota", "origin-quota")
	o.Done = func(load.Result) { cancel() }
	if _, results, err := suite.Run(ctx, o); !errors.Is(err, context.Canceled) || len(results) != 1 {
		t.Errorf("interrupted: %v, %d results", err, len(results))
	}
	for name, change := range map[string]func(*suite.Options){
		"label": func(o *suite.Options) { o.Label = "../x" }, "folder": func(o *suite.Options) { o.Dir = "" },
		"scenarios": func(o *suite.Options) { o.Scenarios = nil }, "repeat": func(o *suite.Options) { o.Repeat = 0 },
	} {
		o := options(t, "connection-quota")
		change(&o)
		if _, _, err := suite.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// folder writes a run with one scenario.
func folder(t *testing.T, status load.Status, figures map[string]float64, samples map[string][]float64) string {
	t.Helper()
	dir := t.TempDir()
	r := load.Result{Scenario: "s", Status: status, Figures: figures, Samples: samples}
	for name, value := range map[string]any{"s.json": r, suite.SummaryFile: suite.Summary{Scenarios: []suite.Entry{{Name: "s", Status: status, File: "s.json"}}}} {
		text, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is worse beyond the noise is named: beyond the tolerance, the spread of the
// repetitions, and what a clock can show.
func TestCompareRuns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, figure string
		base, target float64
		samples      []float64
		want         string
	}{
		{"within the tolerance", "p95Ms", 100, 120, nil, suite.Same},
		{"beyond it", "p95Ms", 100, 130, nil, suite.Worse},
		{"faster", "p95Ms", 100, 70, nil, suite.Better},
		{"no clock shows it", "p95Ms", 0.5, 2, nil, suite.Same},
		{"noisy repetitions", "p95Ms", 100, 150, []float64{60, 80, 100, 120, 140}, suite.Same},
		{"quiet ones", "p95Ms", 100, 150, []float64{99, 100, 101}, suite.Worse},
		{"one outlier", "p95Ms", 100, 150, []float64{99, 100, 101, 100, 900}, suite.Worse},
		{"a rate falls", "visitsPerSecond", 100, 70, nil, suite.Worse},
		{"a rate rises", "visitsPerSecond", 100, 130, nil, suite.Better},
		{"events are lost", "lostEvents", 0, 1, nil, suite.Worse},
	}
	for _, test := range tests {
		base := folder(t, load.Passed, map[string]float64{test.figure: test.base}, map[string][]float64{test.figure: test.samples})
		target := folder(t, load.Passed, map[string]float64{test.figure: test.target}, nil)
		c, err := suite.CompareRuns(base, target, 0.25)
		if err != nil || len(c.Figures) != 1 || c.Figures[0].Verdict != test.want || (c.Regressions == 1) != (test.want == suite.Worse) {
			t.Errorf("%s: got %+v, %v, want %s", test.name, c, err, test.want)
		}
	}
	base := folder(t, load.Passed, map[string]float64{"p95Ms": 1}, nil)
	for status, want := range map[load.Status]string{load.Failed: suite.Worse, load.Skipped: suite.Missing} {
		c, err := suite.CompareRuns(base, folder(t, status, nil, nil), 0.25)
		if err != nil || c.Regressions != 1 || c.Figures[0].Verdict != want {
			t.Errorf("%s afterwards: %+v, %v", status, c, err)
		}
	}
	c, err := suite.CompareRuns(base, folder(t, load.Passed, nil, nil), 0.25)
	if err != nil || c.Regressions != 1 || c.Figures[0].Verdict != suite.Missing {
		t.Errorf("a figure is gone: %+v, %v", c, err)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	c.Table(w)
	if err := w.Flush(); err != nil || !strings.Contains(b.String(), "missing") {
		t.Errorf("%q, %v", b.String(), err)
	}
	if _, err := suite.CompareRuns(t.TempDir(), base, 0.25); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}
