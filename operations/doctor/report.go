package doctor

// Level says how well something is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
	// Skip: it could not be looked at, or does not apply.
	Skip Level = "skip"
)

// Check is one line of a report.
type Check struct {
	Level Level  `json:"level"`
	Area  string `json:"area"`
	// Name says what was looked at, Found what it is like.
	Name  string `json:"name"`
	Found string `json:"found"`
	// Do says what to do; empty when there is nothing.
	Do string `json:"do,omitempty"`
}

// Report is what was found, in the order in which it was looked at.
type Report struct {
	Checks []Check `json:"checks"`
	OK     int     `json:"ok"`
	Warn   int     `json:"warn"`
	Fail   int     `json:"fail"`
	Skip   int     `json:"skip"`
}

// Add adds lines to the report.
func (r *Report) Add(checks ...Check) {
	for _, check := range checks {
		r.Checks = append(r.Checks, check)
		switch check.Level {
		case OK:
			r.OK++
		case Warn:
			r.Warn++
		case Fail:
			r.Fail++
		case Skip:
			r.Skip++
		}
	}
}

func ok(area, name, found string) Check {
	return Check{Level: OK, Area: area, Name: name, Found: found}
}
