package report

import (
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
)

// Status is how a row ended.
type Status string

// The results of a row. A row that cannot run is skipped, never passed.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is the result of a row.
type Result struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Status Status `json:"status"`
	// Reason says why the row failed or was skipped.
	Reason  string         `json:"reason,omitempty"`
	Verdict oracle.Verdict `json:"verdict"`
	// RecoveryMillis is the longest time from the end of the fault, or from its start if the
	// system must recover during it, until an event that was published afterwards was
	// acknowledged.
	RecoveryMillis int64 `json:"recoveryMs"`
	// LimitMillis is the longest recovery that passes; 0 means that there is none.
	LimitMillis int64 `json:"limitMs,omitempty"`
	TookMillis  int64 `json:"tookMs"`
	// Shortened describes how the row was shortened; empty if it has its full length.
	Shortened string    `json:"shortened,omitempty"`
	Notes     []string  `json:"notes,omitempty"`
	Measures  []Measure `json:"measures,omitempty"`
	// Checks are the preconditions that were checked before the fault.
	Checks []Check `json:"checks,omitempty"`
	// Timeline is the course of events; nil if it was not requested.
	Timeline *Timeline `json:"timeline,omitempty"`
}

// Check is one precondition.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is what was found, or what is wrong.
	Detail string `json:"detail,omitempty"`
}

// Measure is one figure of a row.
type Measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Unit is empty for a count.
	Unit string `json:"unit"`
}

// Report is one run.
type Report struct {
	// Command is the command line.
	Command string    `json:"command"`
	Began   time.Time `json:"began"`
	// Machine and Versions say where it ran, by name.
	Machine  map[string]string `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rows     []Result          `json:"rows"`
}

// Count returns how many rows have the status.
func (r Report) Count(status Status) int {
	count := 0
	for _, row := range r.Rows {
		if row.Status == status {
			count++
		}
	}
	return count
}
