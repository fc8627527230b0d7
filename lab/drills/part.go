package drills

import (
	"context"

	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/lab/processes"
)

// part is something of a system that is taken away and brought back.
type part struct {
	name     string
	down, up func(ctx context.Context) error
}

// take takes it away. On a running system it comes back at the latest when the drill
// ends.
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

// process is a part of the lab: it is killed and started again.
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

// commanded is a part of a running system that commands take away and bring back. It
// is back when every gateway is ready.
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
