package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/scenario"
)

// SummaryFile is the name of the page about all scenarios.
const SummaryFile = "suite-summary.json"

// ErrFailed is returned by [Run] when a scenario failed.
var ErrFailed = errors.New("scenarios failed")

// label is what names a suite: it begins the names of files.
var label = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Options say what a suite does.
type Options struct {
	// Label names the run, and Dir is the folder of its files, which is made.
	Label, Dir string
	// Scenarios are those that run, in order.
	Scenarios []scenario.Scenario
	Env       scenario.Env
	// Flags sets what the command line says above the configuration; nil: nothing.
	Flags func(*load.Options)
	// Repeat is how often each scenario runs; several show the noise.
	Repeat int
	// NoSkips makes a scenario that is skipped fail: the deployment is said to have
	// all that the scenarios are about.
	NoSkips bool
	// Budgets are checked beyond the scenarios' own checks.
	Budgets load.Budgets
	// Done receives each result; nil: results are only returned.
	Done func(load.Result)
}

// Validate names the first option that cannot be used.
func (o Options) Validate() error {
	switch {
	case !label.MatchString(o.Label):
		return fmt.Errorf("label is %q: want letters, digits, dots, dashes and underscores, 64 at most", o.Label)
	case o.Dir == "":
		return errors.New("no output folder")
	case len(o.Scenarios) == 0:
		return errors.New("no scenarios")
	case o.Repeat < 1:
		return fmt.Errorf("repeat is %d: want 1 or more", o.Repeat)
	}
	return nil
}

// Summary is a suite on one page.
type Summary struct {
	Label      string            `json:"label"`
	Status     load.Status       `json:"status"`
	StartedAt  time.Time         `json:"startedAt"`
	DurationMs float64           `json:"durationMs"`
	Gateways   []string          `json:"gateways"`
	Machine    map[string]string `json:"machine"`
	Passed     int               `json:"passed"`
	Failed     int               `json:"failed"`
	Skipped    int               `json:"skipped"`
	Scenarios  []Entry           `json:"scenarios"`
}

// Entry is one scenario of a suite.
type Entry struct {
	Name       string             `json:"name"`
	Status     load.Status        `json:"status"`
	Reason     string             `json:"reason,omitempty"`
	DurationMs float64            `json:"durationMs"`
	File       string             `json:"file"`
	Figures    map[string]float64 `json:"figures,omitempty"`
	Warning    string             `json:"warning,omitempty"`
}

// Run carries the suite out. The error matches [ErrFailed] when a scenario failed;
// the summary and the results are there then, too.
func Run(ctx context.Context, o Options) (Summary, []load.Result, error) {
	if err := o.Validate(); err != nil {
		return Summary{}, nil, fmt.Errorf("suite: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return Summary{}, nil, fmt.Errorf("suite: %w", err)
	}
	began := time.Now()
	s := Summary{Label: o.Label, Status: load.Passed, StartedAt: began.UTC(), Machine: measure.Machine(), Scenarios: []Entry{}}
	for _, gateway := range o.Env.Config.Gateways() {
		s.Gateways = append(s.Gateways, address.Shown(gateway))
	}
	pages := metrics.NewClient(o.Env.Config.Gateways(), o.Env.Config.MetricsPath, o.Env.Config.InternalToken)
	if err := o.snapshot(ctx, pages, "before"); err != nil {
		return s, nil, err
	}
	var results []load.Result
	for _, each := range o.Scenarios {
		result, err := o.repeat(ctx, each)
		if err != nil {
			return s, results, err
		}
		results = append(results, result)
		s.Add(result)
		s.DurationMs = measure.Ms(time.Since(began))
		err = errors.Join(write(o.Dir, each.Name+".json", result), write(o.Dir, SummaryFile, s))
		if err = errors.Join(err, ctx.Err()); err != nil {
			return s, results, err
		}
		if err := o.snapshot(ctx, pages, "after-"+each.Name); err != nil {
			return s, results, err
		}
	}
	if err := o.snapshot(ctx, pages, "after"); err != nil {
		return s, results, err
	}
	if s.Failed > 0 {
		return s, results, fmt.Errorf("%d of %d %w", s.Failed, len(results), ErrFailed)
	}
	return s, results, nil
}

// repeat runs one scenario as often as asked.
func (o Options) repeat(ctx context.Context, s scenario.Scenario) (load.Result, error) {
	options, err := o.Env.Config.For(s.Name, s.Defaults, o.Flags)
	if err != nil {
		return load.Result{}, err
	}
	var all []load.Result
	for range o.Repeat {
		result := s.Run(ctx, o.Env, options)
		all = append(all, result)
		if result.Status != load.Passed {
			break // one that does not hold is the result
		}
	}
	result := merged(all)
	if o.NoSkips {
		result.MustRun()
	}
	o.Budgets.Apply(&result)
	if o.Done != nil {
		o.Done(result)
	}
	return result, nil
}

// Add counts a result in.
func (s *Summary) Add(r load.Result) {
	switch r.Status {
	case load.Passed:
		s.Passed++
	case load.Skipped:
		s.Skipped++
	default:
		s.Failed++
		s.Status = load.Failed
	}
	s.Scenarios = append(s.Scenarios, Entry{
		Name: r.Scenario, Status: r.Status, Reason: r.Reason, DurationMs: r.DurationMs, File: r.Scenario + ".json",
		Figures: r.Figures, Warning: r.Harness.Warning,
	})
}

// snapshot keeps the metrics page.
func (o Options) snapshot(ctx context.Context, pages *metrics.Client, stage string) error {
	page, err := pages.Page(ctx)
	if err != nil {
		return fmt.Errorf("suite, %s: %w", stage, err)
	}
	return write(o.Dir, o.Label+"-"+stage+"-metrics.json", page)
}

func write(dir, name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("suite: write %s: %w", name, err)
	}
	return nil
}

// Save writes a summary and its results into a folder, which is made, as [Run]
// does.
func Save(dir string, s Summary, results []load.Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("suite: %w", err)
	}
	for _, result := range results {
		if err := write(dir, result.Scenario+".json", result); err != nil {
			return err
		}
	}
	return write(dir, SummaryFile, s)
}
