package drills

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
)

// ErrThrowAwayOnly is matched if a drill cannot run on a system that it did not start, or
// not with the given options. The error says what is missing. A retry does not help.
var ErrThrowAwayOnly = errors.New("cannot be run on a running system")

// Running is a system that another program has started and on which a drill runs.
type Running struct {
	faults.Running
	// Down and Up are shell commands that stop and start the part that the drill is about.
	Down, Up string
}

// runningJobs is the number of jobs of a drill on a running system. It is small, because
// each job is erased in the end, which takes a while.
const runningJobs = 3

// Plan returns the lines that describe what the drill does to a running system and how each
// effect is undone. Its error matches [ErrThrowAwayOnly].
func (d Drill) Plan(running Running, scale Scale) ([]string, error) {
	fault, err := d.touches(running, scale)
	if err != nil {
		return nil, fmt.Errorf("drill %s %w: %w", d.Name, ErrThrowAwayOnly, err)
	}
	plan := []string{fmt.Sprintf("publish about %d events a second, of %d jobs %s…, and follow them on %s; the jobs are erased in the end, "+
		"which is noted in the audit record; the projections stand still meanwhile, a second or so for each 140 events", runningRate, runningJobs, running.Prefix, strings.Join(running.Gateways, ", "))}
	return append(plan, fault...), nil
}

// byCommands returns the plan of a drill whose part is stopped by commands.
func byCommands(what string) func(Running, Scale) ([]string, error) {
	return func(running Running, scale Scale) ([]string, error) {
		if running.Down == "" || running.Up == "" {
			return nil, fmt.Errorf("it takes away %s: say with --down and --up which commands do that, and undo it", what)
		}
		return []string{
			"run " + running.Down,
			"run " + running.Up + ", which undoes it, however the drill ends",
		}, nil
	}
}

// byItself returns the plan of a drill that takes no commands.
func byItself(lines func(Running, Scale) ([]string, error)) func(Running, Scale) ([]string, error) {
	return func(running Running, scale Scale) ([]string, error) {
		if running.Down != "" || running.Up != "" {
			return nil, errors.New("it takes nothing away: --down and --up are not for it")
		}
		return lines(running, scale)
	}
}

// never returns the plan of a drill whose effects cannot be undone.
func never(why string) func(Running, Scale) ([]string, error) {
	return func(Running, Scale) ([]string, error) { return nil, errors.New(why) }
}

// pauseMargin is how long after the outage Redis resumes by itself.
const pauseMargin = 5 * time.Second
