package oracle

import "fmt"

// shownExamples bounds how many of each kind a verdict names.
const shownExamples = 5

// Verdict is what the files of a trial say. The first four are 0 after a good one.
type Verdict struct {
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
	Reordered  int `json:"reordered"`
	Phantom    int `json:"phantom"`

	// How much was judged: different ids in A and K, and lines of S, M and all C.
	Attempted    int `json:"attempted"`
	Acknowledged int `json:"acknowledged"`
	Stored       int `json:"stored"`
	Projected    int `json:"projected"`
	Delivered    int `json:"delivered"`
	// Clients is how many clients there were.
	Clients int `json:"clients"`
	// Unanswered attempts have no acknowledgement: each may be stored or not.
	Unanswered int `json:"unanswered"`

	// Examples are the first of what is wrong, as "lost from the log: job-1/7".
	Examples []string `json:"examples,omitempty"`
}

// Good reports whether nothing is wrong.
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
