package replay

import (
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Request is a replay as an operator asks for it.
type Request struct {
	// Into is the target, as [parseTarget] reads it.
	Into string `json:"into"`
	// From and To are the bounds, as [ParseBound] reads them; empty, or start and end, for
	// all that the log holds.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Jobs, Kinds and Types choose events; none of one means any. For a target that is a
	// job, no jobs mean that job.
	Jobs  []string `json:"jobs,omitempty"`
	Kinds []string `json:"kinds,omitempty"`
	Types []string `json:"types,omitempty"`
	// Speed is a factor of the pace at which the log took the events, and Rate events a
	// second. Without either, a replay into a job has the speed 1, and others no bound.
	Speed float64 `json:"speed,omitempty"`
	Rate  float64 `json:"rate,omitempty"`
	// LongestPauseSeconds bounds the pauses of a replay with a speed; 0: no bound.
	LongestPauseSeconds float64 `json:"longestPauseSeconds,omitempty"`
	// Run is the id of the run; empty for a new one.
	Run string `json:"run,omitempty"`
}

// maxPauseSeconds is about 30 years, and fits a [time.Duration].
const maxPauseSeconds = 1_000_000_000

// FieldError says which part of a [Request] is wrong, and what is allowed.
type FieldError struct {
	// Field is the name of the field in JSON, and job for an entry of Jobs.
	Field string
	Err   error
}

func (e FieldError) Error() string { return e.Field + " is " + e.Err.Error() }

func (e FieldError) Unwrap() error { return e.Err }

// Plan returns the target and the plan that a request describes, and gives a request
// without a run a new one. Its errors are [FieldError] or those of [Pace.Validate].
func (r *Request) Plan() (Target, Plan, error) {
	if r.LongestPauseSeconds > maxPauseSeconds {
		return Target{}, Plan{}, FieldError{"longestPauseSeconds", fmt.Errorf("%g: want at most %d", r.LongestPauseSeconds, maxPauseSeconds)}
	}
	plan := Plan{Pace: Pace{Speed: r.Speed, Rate: r.Rate, LongestPause: time.Duration(r.LongestPauseSeconds * float64(time.Second))}}
	target, err := parseTarget(r.Into)
	if err != nil {
		return target, plan, FieldError{"into", err}
	}
	if target.Place == ToJob && r.Speed == 0 && r.Rate == 0 {
		plan.Pace.Speed = 1
	}
	if err := plan.Pace.Validate(); err != nil {
		return target, plan, err
	}
	for _, bound := range []struct {
		field, text, none string
		into              *Bound
	}{{"from", r.From, "start", &plan.From}, {"to", r.To, "end", &plan.To}} {
		if bound.text == "" || bound.text == bound.none {
			continue
		}
		if *bound.into, err = ParseBound(bound.text); err != nil {
			return target, plan, FieldError{bound.field, fmt.Errorf("%w, or %s", err, bound.none)}
		}
	}
	if r.Run == "" {
		r.Run = newRun()
	}
	if err := CheckRun(r.Run); err != nil {
		return target, plan, FieldError{"run", err}
	}
	if target.Place == ToLog {
		plan.NotRun = r.Run
	}
	plan.Jobs, plan.Types = r.Jobs, r.Types
	if target.Place == ToJob && len(plan.Jobs) == 0 {
		plan.Jobs = []string{target.Name}
	}
	for _, job := range r.Jobs {
		if err := messaging.ValidateJobID(job); err != nil {
			return target, plan, FieldError{"job", fmt.Errorf("%q: %w", job, err)}
		}
	}
	for _, kind := range r.Kinds {
		plan.Kinds = append(plan.Kinds, messaging.Kind(kind))
	}
	return target, plan, nil
}
