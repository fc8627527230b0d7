package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/projections"
)

const (
	// pauseLength is for how long the projections are paused; it is renewed for as
	// long as it takes. A process that dies meanwhile costs that much.
	pauseLength = time.Minute
	// restTime bounds the wait for what is in flight.
	restTime = 10 * time.Second
	// pollInterval is how often it is asked whether anything is: nothing tells.
	pollInterval = 50 * time.Millisecond
)

// pause keeps the projections from being handed records, those that rebuilds fill
// too.
type pause struct {
	log     Log
	paused  []string
	renewed time.Time
}

// begin pauses the consumers and waits until nothing of them is in flight. end is to
// be called after an error, too. A process may have died with a batch, which a paused
// consumer hands to nobody: so if it takes long they go on for a moment, once.
func (p *pause) begin(ctx context.Context) error {
	err := p.attempt(ctx)
	if !errors.Is(err, ErrBusy) {
		return err
	}
	if err := errors.Join(p.end(ctx), pauseFor(ctx, eventstore.RedeliveryWait)); err != nil {
		return err
	}
	p.paused = nil
	return p.attempt(ctx)
}

func (p *pause) attempt(ctx context.Context) error {
	var names []string
	for _, name := range projections.Names() {
		names = append(names, name, projections.RebuildConsumer(name))
	}
	p.renewed = time.Now()
	for _, name := range names {
		before, err := p.log.ConsumerState(ctx, name)
		if errors.Is(err, eventstore.ErrNoConsumer) {
			continue
		}
		if err == nil && before.Paused && before.PausedFor > 2*pauseLength {
			continue // a swap's pause, which is not this call's to shorten or to end
		}
		if err == nil {
			err = p.log.PauseConsumer(ctx, name, pauseLength)
		}
		if err != nil {
			return err
		}
		p.paused = append(p.paused, name)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, restTime, ErrBusy)
	defer cancel()
	for _, name := range names {
		if err := p.still(bounded, name); err != nil {
			if ctx.Err() == nil && bounded.Err() != nil {
				err = fmt.Errorf("erase: consumer %q: %w", name, ErrBusy)
			}
			return err
		}
	}
	return nil
}

// still waits until nothing of the consumer is in flight.
func (p *pause) still(ctx context.Context, name string) error {
	for {
		state, err := p.log.ConsumerState(ctx, name)
		switch {
		case errors.Is(err, eventstore.ErrNoConsumer), err == nil && state.InFlight == 0:
			return nil
		case err != nil && !errors.Is(err, eventstore.ErrUnavailable):
			return err
		}
		if err := pauseFor(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// renew makes the pause last for as long again, when a good part of it is over.
func (p *pause) renew(ctx context.Context) error {
	if time.Since(p.renewed) < pauseLength/4 {
		return nil
	}
	p.renewed = time.Now()
	var errs []error
	for _, name := range p.paused {
		errs = append(errs, p.log.PauseConsumer(ctx, name, pauseLength))
	}
	return errors.Join(errs...)
}

// held returns [ErrBusy] when the pause has ended before its time.
func (p *pause) held(ctx context.Context) error {
	for _, name := range p.paused {
		state, err := p.log.ConsumerState(ctx, name)
		if err != nil {
			return err
		}
		if !state.Paused {
			return fmt.Errorf("erase: consumer %q went on: %w", name, ErrBusy)
		}
	}
	return nil
}

// end lets the consumers go on, also for a caller that was interrupted.
func (p *pause) end(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, name := range p.paused {
		errs = append(errs, p.log.ResumeConsumer(ctx, name))
	}
	return errors.Join(errs...)
}
