package server

import (
	"context"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/fanout/recorder"
)

// forgetInterval is how often a process without the role fanout asks for the erasures that
// it may have missed while its connection to NATS was away.
const forgetInterval = 10 * time.Second

// startRecorder starts what drops the records of the flight recorder. With the role fanout
// the hub makes the recorder forget what was erased, as part of what it forgets itself;
// without it, a loop does.
func (a *App) startRecorder(hasHub bool) {
	if a.recorder == nil {
		return
	}
	a.loop("flight recorder", a.recorder.Run)
	if hasHub {
		return
	}
	trail, noted := audit.Beside(a.log.Client()), make(chan struct{}, 1)
	a.loop("erasures", func(ctx context.Context) error {
		return trail.Watch(ctx, func() {
			select {
			case noted <- struct{}{}:
			default: // one signal makes the loop ask for all that was erased
			}
		})
	})
	a.loop("erasures in the flight recorder", func(ctx context.Context) error {
		a.forgetErased(ctx, trail, noted)
		return nil
	})
}

// erasures is where erasures are noted.
type erasures interface {
	Begun(ctx context.Context, after uint64) (notes []audit.Erasure, newest uint64, err error)
}

// forgetErased makes the recorder forget the jobs that are erased, until ctx ends.
func (a *App) forgetErased(ctx context.Context, trail erasures, noted <-chan struct{}) {
	tick := time.NewTicker(forgetInterval)
	defer tick.Stop()
	after := uint64(0)
	for {
		newest, err := forgetSince(ctx, a.recorder, trail, after)
		if err == nil {
			after = newest
		} else if ctx.Err() == nil {
			a.logger.Warn("the flight recorder cannot read what was erased", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-noted:
		case <-tick.C:
		}
	}
}

// forgetSince makes the recorder forget the jobs whose erasure was noted after a number, and
// returns the newest number.
func forgetSince(ctx context.Context, recorder *recorder.Recorder, trail erasures, after uint64) (uint64, error) {
	notes, newest, err := trail.Begun(ctx, after)
	if err != nil {
		return after, err
	}
	jobIDs := make([]string, 0, len(notes))
	for _, note := range notes {
		jobIDs = append(jobIDs, note.JobID)
	}
	recorder.Forget(jobIDs...)
	return newest, nil
}
