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

// Options are the options of a run.
type Options struct {
	Scale Scale
	// Running is a system that another program has started and on which the drill runs; see
	// [Drill.Plan] for its effects. If it is nil, the drill starts a system of its own.
	Running *Running
	// Executable is the caller's own program. The gateway and the other programs are looked
	// for in its folder first.
	Executable string
	// Dir is for the files that the drill writes while it runs, and for programs that are
	// built. The caller removes it.
	Dir string
	// Keep keeps the folder of the system.
	Keep bool
	// Command is the command line, for the report.
	Command string
	// Log receives the progress, one line at a time; nil discards it.
	Log func(line string)
}

// The time that a drill may take in addition to the time of its scale: for the trial as a
// whole, and for becoming idle after it.
const (
	trialTime    = 5 * time.Minute
	settleTime   = 2 * time.Minute
	timePerEvent = 10 * time.Millisecond
	// runningTime is a further allowance for a running system, whose size is unknown. A
	// drill on it can be interrupted safely.
	runningTime = 12 * time.Hour
)

// Run runs a drill. It returns an error if there is nothing to report: the drill cannot run
// here (see [processes.ErrNoProgram] and [ErrThrowAwayOnly]) or was interrupted. A drill
// that failed is reported without an error.
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
			err = fmt.Errorf("%w; %s", err, result.Result.Reason) // the reason states what was not undone
		}
		return report.Drill{}, err
	}
	return result, nil
}

// eventsPerJob is about the number of prepared events of a job: few enough that clients
// catching up do not occupy a slow MongoDB.
const eventsPerJob = 250

// defaultJobs is the smallest number of jobs.
const defaultJobs = 12

// system returns the drill's system, with enough jobs for the scale.
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

// target returns the name of the system and the description of the drill for the report,
// and the programs for a system of the drill's own.
func (d Drill) target(ctx context.Context, options Options) (target, does string, programs processes.Programs, err error) {
	if options.Running != nil {
		plan, err := d.Plan(*options.Running, options.Scale)
		return "running: " + strings.Join(options.Running.Gateways, ", "), d.Does + " Here it was to " + strings.Join(plan, "; ") + ".", processes.Programs{}, err
	}
	options.Log("look for the programs")
	programs, err = processes.Find(ctx, options.Executable, filepath.Join(options.Dir, "bin"), d.System.Nodes > 0, d.System.Mongo)
	return "throw-away, started by the drill", d.Does, programs, err
}
