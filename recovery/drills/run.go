package drills

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/recovery/faults"
	"github.com/letswriteabook/realtime/recovery/lab"
	"github.com/letswriteabook/realtime/recovery/report"
)

// Options say how a drill is run.
type Options struct {
	Scale Scale
	// Executable is the gateway's program.
	Executable string
	// Dir is for what the drill writes while it runs, and for programs that are
	// built. The caller removes it.
	Dir string
	// Keep leaves the system's folder there.
	Keep bool
	// Command is what was typed, for the report.
	Command string
	// Log is told how it goes, one line at a time; nil: nobody is.
	Log func(line string)
}

// The time that a drill may take, beside what its scale takes: for the trial as a
// whole, and for becoming quiet after it.
const (
	trialTime    = 5 * time.Minute
	settleTime   = 2 * time.Minute
	timePerEvent = 10 * time.Millisecond
)

// Run runs a drill on a system of its own. It returns an error when there is nothing
// to report: the drill cannot run here, see [lab.ErrNoProgram], or was interrupted.
// A drill that failed is a report.
func Run(ctx context.Context, drill Drill, options Options) (report.Drill, error) {
	if err := options.Scale.Validate(); err != nil {
		return report.Drill{}, err
	}
	if options.Log == nil {
		options.Log = func(string) {}
	}
	options.Log("look for the programs")
	programs, err := lab.Find(ctx, options.Executable, filepath.Join(options.Dir, "bin"), drill.System.Nodes > 0, drill.System.Mongo)
	if err != nil {
		return report.Drill{}, err
	}
	result := report.Drill{
		Name: drill.Name, Does: drill.Does, Target: "throw-away, started by the drill", Command: options.Command, Began: time.Now().UTC(),
		Machine: map[string]string{
			"machine": runtime.GOOS + "/" + runtime.GOARCH + ", " + strconv.Itoa(runtime.NumCPU()) + " cores, loopback",
		},
		Versions: programs.Versions(ctx),
	}
	extra := time.Duration(options.Scale.Events)*timePerEvent + options.Scale.Outage
	row := faults.Row{
		Variant: drill.Name, Title: drill.Does, Limit: drill.Limit, System: drill.system(options.Scale),
		Timeout: trialTime + extra, SettleTimeout: settleTime + extra,
		Run: func(ctx context.Context, t *faults.Trial) error { return drill.run(ctx, t, options.Scale) },
	}
	options.Log("start the system")
	result.Result, err = faults.Run(ctx, row, faults.Options{
		Programs: programs, Dir: options.Dir, Keep: options.Keep, Timeline: true, Log: options.Log,
	})
	if err != nil {
		return report.Drill{}, err
	}
	if ctx.Err() != nil {
		return report.Drill{}, fmt.Errorf("drill %s: %w", drill.Name, context.Cause(ctx))
	}
	return result, nil
}

// eventsPerJob is how many events of the preparation a job has, about: few enough
// that clients who catch up do not keep a slow MongoDB busy for themselves.
const eventsPerJob = 250

// system is the drill's, with jobs enough for the scale.
func (d Drill) system(scale Scale) faults.System {
	system := d.System
	if system.Mongo {
		system.Jobs = max(defaultJobs, scale.Events/eventsPerJob)
	}
	return system
}

// defaultJobs is the least number of jobs.
const defaultJobs = 12
