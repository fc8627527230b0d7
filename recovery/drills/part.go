package drills

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"github.com/letswriteabook/realtime/recovery/faults"
	"github.com/letswriteabook/realtime/recovery/lab"
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
	return back, p.down(ctx)
}

// process is a part of the lab: it is killed and started again.
func process(p *lab.Process) part {
	return part{
		name: p.Name(),
		down: func(context.Context) error {
			p.Kill()
			return nil
		},
		up: p.Start,
	}
}

// commanded is a part of a running system that commands take away and bring back.
func commanded(name string, running Running) part {
	return part{
		name: name,
		down: func(ctx context.Context) error { return shell(ctx, running.Down) },
		up:   func(ctx context.Context) error { return shell(ctx, running.Up) },
	}
}

// shell runs a command of the operator's.
func shell(ctx context.Context, command string) error {
	said, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(said))
	}
	return nil
}
