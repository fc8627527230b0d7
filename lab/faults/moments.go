package faults

import (
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/report"
)

// timelineSteps is the largest number of steps of a timeline. A step is as many whole
// seconds as this requires.
const timelineSteps = 900

// earlyClient is the client that is present from the start; lateClient is the one that
// connects at the end.
const (
	earlyClient = "early"
	lateClient  = "late"
)

// moments are the times of what happened, for the timeline. The zero value is ready to use.
type moments struct {
	began   time.Time // of the first load
	windows []window
	marks   []mark
}

type window struct {
	label    string
	from, to time.Time // to is zero while it lasts
}

type mark struct {
	label string
	at    time.Time
}

func (m *moments) begin() {
	if m.began.IsZero() {
		m.began = time.Now()
	}
}

// Fault records the beginning of a fault. over records its end; a fault without an end
// lasts until the end of the trial.
func (t *Trial) Fault(label string) (over func()) {
	t.Tell("fault: %s", label)
	n := len(t.moments.windows)
	t.moments.windows = append(t.moments.windows, window{label: label, from: time.Now()})
	return sync.OnceFunc(func() {
		t.moments.windows[n].to = time.Now()
		t.Tell("over: %s", label)
	})
}

// Mark records a moment.
func (t *Trial) Mark(label string) {
	t.Tell("%s", label)
	t.moments.marks = append(t.moments.marks, mark{label: label, at: time.Now()})
}

// Tell reports progress.
func (t *Trial) Tell(format string, args ...any) {
	if t.log != nil {
		t.log(fmt.Sprintf(format, args...))
	}
}

// Check records a precondition with what was found or, if err is not nil, what is wrong. It
// returns err.
func (t *Trial) Check(name, found string, err error) error {
	check := report.Check{Name: name, OK: err == nil, Detail: found}
	if err != nil {
		check.Detail = err.Error()
		err = fmt.Errorf("precondition %q: %w", name, err)
	}
	t.checks = append(t.checks, check)
	t.Tell("check: %s: %s", name, check.Detail)
	return err
}

// timeline reads the journal. It returns nil if nothing was published.
func (t *Trial) timeline(journal string) (*report.Timeline, error) {
	if t.moments.began.IsZero() {
		return nil, nil
	}
	seconds := time.Since(t.moments.began)/time.Second + 1
	step := (seconds/timelineSteps + 1) * time.Second
	pace, err := oracle.ReadPace(journal, earlyClient, t.moments.began, step)
	if err != nil {
		return nil, err
	}
	line := &report.Timeline{
		Began: pace.Began.UTC(), StepMillis: step.Milliseconds(), Client: earlyClient,
		Attempted: pace.Attempted, Acknowledged: pace.Acknowledged, Delivered: pace.Delivered,
	}
	end := step.Milliseconds() * int64(len(pace.Attempted))
	since := func(at time.Time) int64 { return at.Sub(t.moments.began).Milliseconds() }
	for _, w := range t.moments.windows {
		to := end
		if !w.to.IsZero() {
			to = since(w.to)
		}
		line.Windows = append(line.Windows, report.Window{Label: w.label, FromMillis: max(0, since(w.from)), ToMillis: to})
	}
	for _, m := range t.moments.marks {
		line.Marks = append(line.Marks, report.Mark{Label: m.label, AtMillis: max(0, since(m.at))})
	}
	return line, nil
}
