package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/load/measure"
)

// Status is how a scenario ended.
type Status string

// The ends of a scenario. Skipped means that the deployment lacks what it is
// about, such as a limit.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is what a scenario found. It belongs to one goroutine while it is made.
type Result struct {
	Scenario   string    `json:"scenario"`
	Status     Status    `json:"status"`
	Reason     string    `json:"reason,omitempty"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMs float64   `json:"durationMs"`
	Options    Options   `json:"options"`
	Checks     []Check   `json:"checks"`
	// Figures are what was measured, each with its unit at the end of its name.
	Figures map[string]float64 `json:"figures"`
	// Samples has the figures of each repetition, where there were several; in
	// Figures is their median then, and of recoveries and losses the worst.
	Samples map[string][]float64 `json:"samples,omitempty"`

	Latency  *measure.Distribution `json:"latency,omitempty"`
	Delivery *measure.Counts       `json:"delivery,omitempty"`
	Series   []measure.Series      `json:"series,omitempty"`
	Outages  []Window              `json:"outages,omitempty"`
	Harness  measure.Usage         `json:"harness"`
}

// Check is one thing that must hold.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

// Window is a stretch of the scenario, in milliseconds from its start.
type Window struct {
	What   string  `json:"what"`
	FromMs float64 `json:"fromMs"`
	ToMs   float64 `json:"toMs"`
}

// Check notes whether something holds.
func (r *Result) Check(name string, ok bool, want, got any) {
	r.Checks = append(r.Checks, Check{Name: name, OK: ok, Want: fmt.Sprint(want), Got: fmt.Sprint(got)})
}

// Figure notes a measurement.
func (r *Result) Figure(name string, value float64) {
	if r.Figures == nil {
		r.Figures = map[string]float64{}
	}
	r.Figures[name] = value
}

// Skip ends the scenario without a verdict.
func (r *Result) Skip(format string, args ...any) {
	r.Status, r.Reason = Skipped, fmt.Sprintf(format, args...)
}

// MustRun makes a scenario that was skipped one that failed, for a caller that knows that
// the deployment has all that it is about.
func (r *Result) MustRun() {
	if r.Status == Skipped {
		r.Status = ""
		r.Check("carried out", false, "the whole scenario", "skipped: "+r.Reason)
		r.Settle()
	}
}

// Settle judges by the checks, unless the scenario was skipped.
func (r *Result) Settle() {
	if r.Status == Skipped {
		return
	}
	var reasons []string
	for _, check := range r.Failures() {
		reasons = append(reasons, fmt.Sprintf("%s: want %s, got %s", check.Name, check.Want, check.Got))
	}
	r.Status, r.Reason = Passed, strings.Join(reasons, "; ")
	if len(reasons) > 0 {
		r.Status = Failed
	}
}

// Failures returns the checks that do not hold.
func (r *Result) Failures() []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return c.OK })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
