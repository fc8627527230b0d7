package drills

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
)

// ErrThrowAwayOnly is matched when a drill cannot be run on a system that it did not
// start, or not with what was said. It tells what is missing. A retry does not help.
var ErrThrowAwayOnly = errors.New("cannot be run on a running system")

// Running is a system that another program has started, for a drill that is run on it.
type Running struct {
	faults.Running
	// Down and Up are shell commands that take the part away which the drill is about,
	// and bring it back.
	Down, Up string
}

// runningJobs is how many jobs a drill has on a running system: each is erased in the
// end, which takes a while.
const runningJobs = 3

// Plan returns what the drill will do to a running system and how each of it is
// undone, a line each. It fails with [ErrThrowAwayOnly].
func (d Drill) Plan(running Running, scale Scale) ([]string, error) {
	fault, err := d.touches(running, scale)
	if err != nil {
		return nil, fmt.Errorf("drill %s %w: %w", d.Name, ErrThrowAwayOnly, err)
	}
	plan := []string{fmt.Sprintf("publish about %d events a second, of %d jobs %s…, and follow them on %s; the jobs are erased in the end, "+
		"which is noted in the audit record; the projections stand still meanwhile, a second or so for each 140 events", runningRate, runningJobs, running.Prefix, strings.Join(running.Gateways, ", "))}
	return append(plan, fault...), nil
}

// byCommands is the plan of a drill whose part is taken away by commands.
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

// byItself is the plan of a drill that takes no commands.
func byItself(lines func(Running, Scale) ([]string, error)) func(Running, Scale) ([]string, error) {
	return func(running Running, scale Scale) ([]string, error) {
		if running.Down != "" || running.Up != "" {
			return nil, errors.New("it takes nothing away: --down and --up are not for it")
		}
		return lines(running, scale)
	}
}

// never is the plan of a drill that touches what cannot be undone.
func never(why string) func(Running, Scale) ([]string, error) {
	return func(Running, Scale) ([]string, error) { return nil, errors.New(why) }
}

// pauseMargin is how long Redis waits beyond the outage before it goes on by itself.
const pauseMargin = 5 * time.Second
