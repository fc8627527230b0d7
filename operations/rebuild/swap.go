package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

const (
	// firstPause is how long the live consumer is paused while the shadow comes up
	// with it: what a process that dies then costs.
	firstPause = time.Minute
	// restTime bounds the wait for what is in flight, stillTime, and for the shadow to
	// come up with it, and leaves enough of the pause for the renames.
	restTime   = 30 * time.Second
	stillTime  = 10 * time.Second
	enoughLeft = 10 * time.Second
	// lastingPause is for as long as the collections are being moved. It ends with
	// the swap; when the process dies, with the next one.
	lastingPause = 10 * 365 * 24 * time.Hour
	// moveTime bounds the renames, which are not interrupted.
	moveTime = time.Minute
	// maxLooks bounds how often the pause is looked at before them.
	maxLooks = 5
)

// Swapped is what a swap did.
type Swapped struct {
	Projection string `json:"projection"`
	// Old is the collection that was put aside; empty when the swap only finished
	// an interrupted one.
	Old string `json:"old,omitempty"`
	// PausedSeconds is how long the live consumer stood still.
	PausedSeconds float64 `json:"pausedSeconds"`
	// Compared is the comparison of the shadow with the log before it.
	Compared *Report `json:"compared,omitempty"`
}

// Swap brings the shadow up to the log, compares it, and puts it into the place of
// the projection's collection, which stays under another name. It finishes a swap
// that was interrupted. It returns projections.ErrNoShadow when nothing was
// rebuilt, [ErrNotEqual] with the comparison when the shadow is wrong, and
// [ErrBusy] when the live consumer does not come to rest.
func (r *Rebuild) Swap(ctx context.Context, show int) (Swapped, error) {
	swapped := Swapped{Projection: r.model.Name()}
	found, err := r.model.Collections(ctx)
	if err != nil {
		return swapped, err
	}
	state, err := r.log.State(ctx)
	if err != nil {
		return swapped, err
	}
	switch {
	case !found.Shadow && found.Unfinished:
		return swapped, r.finish(ctx, state)
	case !found.Shadow:
		return swapped, fmt.Errorf("swap %s: %w", r.model.Name(), projections.ErrNoShadow)
	}
	if err := r.Fill(ctx, false); err != nil {
		return swapped, err
	}
	compared, err := r.Verify(ctx, true, show)
	if err != nil {
		return swapped, err
	}
	swapped.Compared = &compared
	if !compared.Equal {
		return swapped, fmt.Errorf("swap %s: %w", r.model.Name(), ErrNotEqual)
	}
	// Catch up with what was stored during the comparison, to keep the pause short.
	if err := r.level(ctx, "catch up", state.Epoch); err != nil {
		return swapped, err
	}
	began := time.Now()
	// A pause that an interrupted swap has left lasts until this one is done.
	pause := firstPause
	if found.Unfinished {
		pause = lastingPause
	}
	at, err := r.rest(ctx, state.Epoch, pause)
	if errors.Is(err, ErrBusy) && !found.Unfinished {
		// A process may have died with a batch, which a paused consumer does not redeliver.
		r.report(Progress{Step: "let the live consumer go on for a moment"})
		if err = errors.Join(r.resume(ctx), wait.For(ctx, eventstore.RedeliveryWait)); err == nil {
			began = time.Now()
			at, err = r.rest(ctx, state.Epoch, pause)
		}
	}
	moved := false
	if err == nil {
		// From here on, the end of ctx is ignored.
		ctx = context.WithoutCancel(ctx)
		swapped.Old, moved, err = r.move(ctx, at)
	}
	if err != nil {
		if !moved && !found.Unfinished {
			err = errors.Join(err, r.resume(ctx))
		}
		return swapped, err
	}
	swapped.PausedSeconds = time.Since(began).Seconds()
	return swapped, r.finish(ctx, state)
}

// standstill is where the live consumer stands, up to where the shadow has everything.
type standstill struct {
	floor uint64
	// lost says that its collection was dropped: it keeps what it has in flight.
	lost bool
}

// rest pauses the live consumer and brings the shadow up to where that stands. On
// an error the pause is left to the caller.
func (r *Rebuild) rest(ctx context.Context, epoch string, pause time.Duration) (at standstill, err error) {
	r.report(Progress{Step: "pause the live consumer"})
	err = r.log.PauseConsumer(ctx, r.model.Name(), time.Now().Add(pause))
	if errors.Is(err, eventstore.ErrNoConsumer) {
		return at, nil // The projection has never run, and has acknowledged nothing.
	}
	if err != nil {
		return at, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, restTime, ErrBusy)
	defer cancel()
	if at.lost, err = r.lost(bounded); err != nil {
		return at, err
	}
	quiet, cancel := context.WithTimeoutCause(bounded, stillTime, ErrBusy)
	defer cancel()
	at.floor, err = r.still(quiet, at.lost)
	if err != nil && ctx.Err() == nil && quiet.Err() != nil {
		return at, fmt.Errorf("swap %s: %w", r.model.Name(), ErrBusy)
	}
	if err == nil {
		err = r.follow(bounded, func(ctx context.Context) error { return r.reach(ctx, "catch up", epoch, at.floor) })
	}
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return at, fmt.Errorf("swap %s: %w", r.model.Name(), ErrBusy)
	}
	return at, err
}

// lost reports whether the live consumer stands still because its collection was
// dropped.
func (r *Rebuild) lost(ctx context.Context) (bool, error) {
	fresh, err := r.log.ConsumerFresh(ctx, r.model.Name())
	if errors.Is(err, eventstore.ErrNoConsumer) {
		fresh, err = true, nil
	}
	if err != nil {
		return false, err
	}
	return r.model.Lost(ctx, fresh)
}

// still waits until nothing of the live consumer is in flight, and returns its
// floor. One whose collection was lost keeps what it has in flight, and its floor
// does not move before there is another collection.
func (r *Rebuild) still(ctx context.Context, lost bool) (uint64, error) {
	for {
		live, err := r.log.ConsumerState(ctx, r.model.Name())
		if err == nil && live.Paused && (lost || live.InFlight == 0) {
			return live.Floor, nil
		}
		if err != nil && !errors.Is(err, eventstore.ErrUnavailable) {
			return 0, err
		}
		if err := wait.For(ctx, pollInterval); err != nil {
			return 0, err
		}
	}
}

// move makes the pause last and renames the collections. When that fails it reports
// whether anything has moved: then the live consumer is to stay paused, for it must not
// write into a collection that is to be put aside.
func (r *Rebuild) move(ctx context.Context, at standstill) (old string, moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, moveTime)
	defer cancel()
	before, err := r.model.Collections(ctx)
	if err != nil {
		return "", false, err
	}
	if err := r.last(ctx, at); err != nil {
		return "", false, err
	}
	r.report(Progress{Step: "rename the collections"})
	old, err = r.model.Exchange(ctx)
	if err == nil {
		return old, true, nil
	}
	after, lookErr := r.model.Collections(ctx)
	if lookErr == nil && after.Shadow && after.Present == before.Present && len(after.Old) == len(before.Old) {
		return "", false, err
	}
	return "", true, fmt.Errorf("%w: the live consumer stays paused until a swap is finished: %w", projections.ErrSwapUnfinished, err)
}

// last makes the pause last. Erasures pause the consumer too, and let it go on
// afterwards: one that looked just before can still shorten or end this pause, so it is
// looked at again. It returns [ErrBusy] when the consumer has gone on meanwhile, and may
// have written what the shadow does not have.
func (r *Rebuild) last(ctx context.Context, at standstill) error {
	for range maxLooks {
		live, err := r.log.ConsumerState(ctx, r.model.Name())
		switch {
		case errors.Is(err, eventstore.ErrNoConsumer):
			return nil
		case err != nil:
			return err
		case !live.Paused || live.PausedFor < enoughLeft || live.Floor != at.floor || live.InFlight > 0 && !at.lost:
			return fmt.Errorf("swap %s: %w", r.model.Name(), ErrBusy)
		case live.PausedFor > lastingPause/2:
			return nil
		}
		if err := r.log.PauseConsumer(ctx, r.model.Name(), time.Now().Add(lastingPause)); err != nil {
			return err
		}
	}
	return fmt.Errorf("swap %s: %w", r.model.Name(), ErrBusy)
}

// finish lets the live consumer go on in the new collection, and copies what other
// writers have left in the old one.
func (r *Rebuild) finish(ctx context.Context, state messaging.Extent) error {
	if err := r.resume(ctx); err != nil {
		return err
	}
	if err := r.log.ForgetConsumer(ctx, r.model.RebuildConsumer()); err != nil {
		return err
	}
	r.report(Progress{Step: "carry over what came meanwhile"})
	_, err := r.model.Settle(ctx, state)
	return err
}

// resume ends the pause, also when the caller has been interrupted.
func (r *Rebuild) resume(ctx context.Context) error {
	return r.log.ResumeConsumer(context.WithoutCancel(ctx), r.model.Name())
}
