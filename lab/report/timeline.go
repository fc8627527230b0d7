package report

import "time"

// Timeline has the numbers of events in each step of a trial.
type Timeline struct {
	// Began is the left end, and StepMillis the length of a step.
	Began      time.Time `json:"began"`
	StepMillis int64     `json:"stepMs"`
	// Attempted, Acknowledged and Delivered are numbers of events by step, with the same
	// number of steps. Delivered counts the events that the client named Client received.
	Attempted    []int  `json:"attempted"`
	Acknowledged []int  `json:"acknowledged"`
	Delivered    []int  `json:"delivered"`
	Client       string `json:"client"`
	// Windows are the faults, in the order in which they began.
	Windows []Window `json:"windows,omitempty"`
	// Marks are moments to show.
	Marks []Mark `json:"marks,omitempty"`
}

// Window is a span of time, from Began of the timeline on.
type Window struct {
	Label      string `json:"label"`
	FromMillis int64  `json:"fromMs"`
	ToMillis   int64  `json:"toMs"`
}

// Mark is a moment, from Began of the timeline on.
type Mark struct {
	Label    string `json:"label"`
	AtMillis int64  `json:"atMs"`
}
