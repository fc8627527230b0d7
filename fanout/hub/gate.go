package hub

import (
	"context"
	"runtime"

	"github.com/letswriteabook/realtime/messaging"
)

// gate bounds how many goroutines do one kind of work at a time. The others enter in the
// order in which they came.
type gate chan struct{}

// newGate returns the gate of the goroutines that use a processor for the history: they
// encode pages, and read them if the log is in this process. At least one processor is left
// for live events, which pass no gate: otherwise each of their steps would wait behind all
// reads. A caller of this gate has a slot, of which each client has its share.
func newGate() gate { return make(gate, max(1, runtime.GOMAXPROCS(0)-1)) }

// enter waits for the gate. Unless it fails with the error of ctx, leave has to follow.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// Work waits for the gate, for a caller that uses a processor for a client that reads the
// history. Unless it fails with the error of ctx, done has to be called soon.
func (h *Hub) Work(ctx context.Context) (done func(), err error) {
	if err := h.history.work.enter(ctx); err != nil {
		return nil, err
	}
	return h.history.work.leave, nil
}

// gatedLog reads pages of a log in this process, within the gate.
type gatedLog struct {
	Log
	gate gate
}

// ReadAfter implements Log.
func (l gatedLog) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	if err := l.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer l.gate.leave()
	return l.Log.ReadAfter(ctx, jobID, after, limit)
}

// Locate implements Log.
func (l gatedLog) Locate(ctx context.Context, jobID string, before uint64, limit int) (messaging.Span, error) {
	if err := l.gate.enter(ctx); err != nil {
		return messaging.Span{}, err
	}
	defer l.gate.leave()
	return l.Log.Locate(ctx, jobID, before, limit)
}
