package drills

import (
	"context"

	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/lab/processes"
)

// part is a part of a system that a drill stops and starts again.
type part struct {
	name     string
	down, up func(ctx context.Context) error
}

// take stops the part. On a running system it is started again when the drill ends, at the
// latest.
func (p part) take(ctx context.Context, t *faults.Trial) (back func(ctx context.Context) error, err error) {
	back = p.up
	if t.Running() {
		back = t.Undo(p.name+" comes back", p.up)
	}
	if err := p.down(ctx); err != nil {
		return nil, err
	}
	t.Tell("%s is away", p.name)
	return back, nil
}

// process returns the part for a process of the lab, which is killed and started again.
func process(p *processes.Process) part {
	return part{
		name: p.Name(),
		down: func(context.Context) error {
			p.Kill()
			return nil
		},
		up: p.Start,
	}
}

// commanded returns a part of a running system that commands stop and start. It is back
// when every gateway is ready.
func commanded(t *faults.Trial, name string, running Running) part {
	return part{
		name: name,
		down: func(ctx context.Context) error { return processes.Shell(ctx, running.Down) },
		up: func(ctx context.Context) error {
			if err := processes.Shell(ctx, running.Up); err != nil {
				return err
			}
			return t.AwaitReady(ctx)
		},
	}
}
