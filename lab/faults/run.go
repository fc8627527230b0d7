package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
)

// rowTimeout bounds one row, and settleTimeout what follows its fault. Row 11 alone takes
// five minutes at full length.
const (
	rowTimeout     = 4 * time.Minute
	fullRowTimeout = 12 * time.Minute
	settleTimeout  = 90 * time.Second
)

// limits returns how long the row may take, and how long what follows its fault may.
func (r Row) limits(full bool) (trial, settle time.Duration) {
	trial = rowTimeout
	if full {
		trial = fullRowTimeout
	}
	return cmp.Or(r.Timeout, trial), cmp.Or(r.SettleTimeout, settleTimeout)
}

// Options say how rows are run.
type Options struct {
	Programs processes.Programs
	// Dir holds the journals of the rows, one folder each, and their systems
	// while they run.
	Dir string
	// Keep leaves the systems' folders there.
	Keep bool
	// Full runs every row at the length in the matrix, and Short at that of the continuous
	// integration.
	Full, Short bool
	// Root is set when the process runs as root.
	Root bool
	// Log receives the progress, one line at a time; nil discards it.
	Log func(line string)
	// Running is the system on which the row runs; nil starts one for the row.
	Running *Running
	// Timeline adds the times of the events of the run to the result.
	Timeline bool
}

// Run runs one row and judges it. It returns an error only when the run itself
// cannot go on; a row that fails is a result.
func Run(ctx context.Context, row Row, options Options) (report.Result, error) {
	result := report.Result{Number: row.Number, Title: row.Title, LimitMillis: row.Limit.Milliseconds()}
	quiet()
	if row.NeedsRoot && !options.Root {
		result.Status, result.Reason = report.Skipped, "needs root"
		return result, nil
	}
	dir := filepath.Join(options.Dir, "row-"+row.Name())
	if err := os.RemoveAll(dir); err != nil {
		return result, fmt.Errorf("row %s: %w", row.Name(), err)
	}
	timeout, settleTime := row.limits(options.Full)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	trial, err := newTrial(ctx, row, options, dir)
	if reason, skipped := asSkip(err); skipped {
		result.Status, result.Reason = report.Skipped, reason
		return result, nil
	}
	if err != nil {
		fail(&result, fmt.Errorf("start: %w", err))
		return result, nil
	}
	err = row.Run(ctx, trial)
	if err != nil {
		trial.Tell("failed: %v", err) // what follows may take a while
	}
	err = errors.Join(err, trial.undoAll(ctx))
	if _, skipped := asSkip(err); !skipped {
		// Settle after a failure, too, so that the report shows what was lost.
		settling, done := context.WithTimeout(ctx, settleTime)
		err = errors.Join(err, trial.settle(settling))
		done()
	}
	trial.addTo(&result)
	words := trial.lastWords()
	err = errors.Join(err, trial.close(ctx))
	if reason, skipped := asSkip(err); skipped {
		result.Status, result.Reason = report.Skipped, reason
		return result, nil
	}
	verdict, judged := oracle.Judge(filepath.Join(dir, "journal"))
	result.Verdict, result.TookMillis = verdict, time.Since(began).Milliseconds()
	err = errors.Join(err, judged)
	if options.Timeline {
		var paced error
		result.Timeline, paced = trial.timeline(filepath.Join(dir, "journal"))
		err = errors.Join(err, paced)
	}
	if !verdict.Good() {
		err = errors.Join(err, fmt.Errorf("%v: %v", verdict, verdict.Examples))
	}
	if row.Limit > 0 && trial.recovery > row.Limit {
		err = errors.Join(err, fmt.Errorf("recovery took %s, at most %s", trial.recovery.Round(time.Millisecond), row.Limit))
	}
	if err != nil {
		fail(&result, err)
		if options.Log != nil {
			options.Log(words)
		}
		return result, nil
	}
	result.Status = report.Passed
	return result, nil
}

func fail(result *report.Result, err error) {
	result.Status, result.Reason = report.Failed, err.Error()
}

// addTo adds the measures of the trial and of its clients to a result.
func (t *Trial) addTo(result *report.Result) {
	resumes := 0
	for _, f := range t.followers {
		f.mu.Lock()
		resumes += f.resumes
		f.mu.Unlock()
	}
	if resumes > 0 {
		t.Measure("streams resumed", float64(resumes), "")
	}
	connected := 0
	for _, v := range t.sockets {
		v.mu.Lock()
		connected += v.resumes
		v.mu.Unlock()
	}
	if reconnected := connected - len(t.sockets); reconnected > 0 {
		t.Measure("sockets resumed", float64(reconnected), "")
	}
	t.Outbox.mu.Lock()
	t.Measure("longest time without a receipt", float64(t.Outbox.longest.Milliseconds()), "ms")
	t.Outbox.mu.Unlock()
	result.RecoveryMillis = t.recovery.Milliseconds()
	result.Shortened, result.Notes, result.Measures, result.Checks = t.shortened, t.notes, t.measures, t.checks
}
