package oracle

import "fmt"

// shownExamples bounds the examples of each kind in a verdict.
const shownExamples = 5

// Verdict is the result of a trial. The first four fields are 0 for a good one.
type Verdict struct {
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	Phantom    int `json:"phantom"`

	// The amount that was judged: different ids in A and K, and lines of S, M and all C.
	Attempted    int `json:"attempted"`
	Acknowledged int `json:"acknowledged"`
	Stored       int `json:"stored"`
	Projected    int `json:"projected"`
	Delivered    int `json:"delivered"`
	// Clients is how many clients there were.
	Clients int `json:"clients"`
	// Unanswered attempts have no acknowledgement: each may be stored or not.
	Unanswered int `json:"unanswered"`

	// Examples are the first faults, such as "lost from the log: job-1/7".
	Examples []string `json:"examples,omitempty"`
}

// Good reports whether there are no faults.
func (v Verdict) Good() bool { return v.Lost+v.Duplicated+v.Reordered+v.Phantom == 0 }

// String returns the four figures.
func (v Verdict) String() string {
	return fmt.Sprintf("%d lost, %d duplicated, %d reordered, %d phantom", v.Lost, v.Duplicated, v.Reordered, v.Phantom)
}

func (v *Verdict) blame(count *int, format string, args ...any) {
	if *count++; *count <= shownExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}
