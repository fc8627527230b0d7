package drills

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/faults"
)

// ErrNoDrill is matched if no drill has the name. A retry does not help.
var ErrNoDrill = errors.New("no such drill")

// Drill is one drill.
type Drill struct {
	Name string
	// Does describes what happens and what must hold.
	Does string
	// Limit is the longest recovery that passes.
	Limit time.Duration
	// System is the system that the drill runs on.
	System faults.System

	run func(ctx context.Context, t *faults.Trial, options Options) error
	// touches describes what the drill does to a running system and how that is undone, or
	// returns why it cannot run on one.
	touches func(running Running, scale Scale) ([]string, error)
}

// Scale is the size of a drill. The zero value is the usual size.
type Scale struct {
	// Events is the number of events that mongo-loss and log-restore store beforehand (0
	// means 2,000), and of invalid events that poison-flood sends (0 means 1,000).
	Events int
	// Outage is how long a part stays stopped, in drills that choose this; 0 means 10 s.
	Outage time.Duration
}

// Validate returns an error that names the first invalid field.
func (s Scale) Validate() error {
	switch {
	case s.Events < 0 || s.Events > maxEvents:
		return fmt.Errorf("events: %d, must be 0 to %d", s.Events, maxEvents)
	case s.Outage < 0 || s.Outage > maxOutage:
		return fmt.Errorf("outage: %s, must be 0 to %s", s.Outage, maxOutage)
	}
	return nil
}

// The largest scale. The memory and disk space of a drill grow with it.
const (
	maxEvents = 1_000_000
	maxOutage = 5 * time.Minute
)

func (s Scale) events(usual int) int {
	if s.Events == 0 {
		return usual
	}
	return s.Events
}

func (s Scale) outage() time.Duration {
	if s.Outage == 0 {
		return 10 * time.Second
	}
	return s.Outage
}

// Drills returns every drill, by name.
func Drills() []Drill {
	all := []Drill{redisOutage(), gatewayCrash(), mongoLoss(), logRestore(), nodeLoss(), poisonFlood()}
	slices.SortFunc(all, func(a, b Drill) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Find returns the drill with a name, or [ErrNoDrill].
func Find(name string) (Drill, error) {
	var names []string
	for _, d := range Drills() {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Drill{}, fmt.Errorf("%w: %q, want one of %s", ErrNoDrill, name, strings.Join(names, ", "))
}
