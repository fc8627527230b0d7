package drills

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
)

// Options say how a drill is run.
type Options struct {
	Scale Scale
	// Running has the drill run on a system that another program has started; see
	// [Drill.Plan] for what it does to it. nil: on one of its own.
	Running *Running
	// Executable is the caller's own program: the gateway's and the others are looked for
	// beside it first.
	Executable string
	// Dir is for what the drill writes while it runs, and for programs that are
	// built. The caller removes it.
	Dir string
	// Keep leaves the system's folder there.
	Keep bool
	// Command is what was typed, for the report.
	Command string
	// Log receives the progress, one line at a time; nil discards it.
	Log func(line string)
}

// The time that a drill may take, beside what its scale takes: for the trial as a
// whole, and for becoming quiet after it.
const (
	trialTime    = 5 * time.Minute
	settleTime   = 2 * time.Minute
	timePerEvent = 10 * time.Millisecond
	// runningTime is beside that, on a running system: its size is unknown, and
	// an interruption ends it well.
	runningTime = 12 * time.Hour
)

// Run runs a drill. It returns an error when there is nothing to report: the drill
// cannot run here, see [processes.ErrNoProgram] and [ErrThrowAwayOnly], or was interrupted.
// A drill that failed is a report.
func Run(ctx context.Context, drill Drill, options Options) (report.Drill, error) {
	if err := options.Scale.Validate(); err != nil {
		return report.Drill{}, err
	}
	if options.Log == nil {
		options.Log = func(string) {}
	}
	target, does, programs, err := drill.target(ctx, options)
	if err != nil {
		return report.Drill{}, err
	}
	result := report.Drill{
		Name: drill.Name, Does: does, Target: target, Command: options.Command, Began: time.Now().UTC(),
		Machine: map[string]string{
			"machine": runtime.GOOS + "/" + runtime.GOARCH + ", " + strconv.Itoa(runtime.NumCPU()) + " cores",
		},
	}
	frame := faults.Options{Programs: programs, Dir: options.Dir, Keep: options.Keep, Timeline: true, Log: options.Log}
	if options.Running != nil {
		frame.Running = &options.Running.Running
	} else {
		result.Versions = programs.Versions(ctx)
	}
	extra := time.Duration(options.Scale.Events)*timePerEvent + options.Scale.Outage
	row := faults.Row{
		Variant: drill.Name, Title: drill.Does, Limit: drill.Limit, System: drill.system(options),
		Timeout: trialTime + extra, SettleTimeout: settleTime + extra,
		Run: func(ctx context.Context, t *faults.Trial) error { return drill.run(ctx, t, options) },
	}
	if options.Running != nil {
		row.Timeout += runningTime
	}
	options.Log("begin")
	result.Result, err = faults.Run(ctx, row, frame)
	if err != nil {
		return report.Drill{}, err
	}
	if ctx.Err() != nil {
		err := fmt.Errorf("drill %s: %w", drill.Name, context.Cause(ctx))
		if options.Running != nil {
			err = fmt.Errorf("%w; %s", err, result.Result.Reason) // says what was not undone
		}
		return report.Drill{}, err
	}
	return result, nil
}

// eventsPerJob is how many events of the preparation a job has, about: few enough
// that clients who catch up do not keep a slow MongoDB busy for themselves.
const eventsPerJob = 250

// defaultJobs is the least number of jobs.
const defaultJobs = 12

// system is the drill's, with jobs enough for the scale.
func (d Drill) system(options Options) faults.System {
	system := d.System
	if system.Mongo {
		system.Jobs = max(defaultJobs, options.Scale.Events/eventsPerJob)
	}
	if options.Running != nil {
		system.Jobs, system.Mongo = runningJobs, options.Running.MongoURI != ""
	}
	return system
}

// target returns what the report calls the system, what it says is done, and the
// programs of a system of the drill's own.
func (d Drill) target(ctx context.Context, options Options) (target, does string, programs processes.Programs, err error) {
	if options.Running != nil {
		plan, err := d.Plan(*options.Running, options.Scale)
		return "running: " + strings.Join(options.Running.Gateways, ", "), d.Does + " Here it was to " + strings.Join(plan, "; ") + ".", processes.Programs{}, err
	}
	options.Log("look for the programs")
	programs, err = processes.Find(ctx, options.Executable, filepath.Join(options.Dir, "bin"), d.System.Nodes > 0, d.System.Mongo)
	return "throw-away, started by the drill", d.Does, programs, err
}
