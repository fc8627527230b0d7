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
//
// Others pause them as well. A swap that moves the collections has to find its pause as
// it left it, and so has one that was interrupted meanwhile, for years. So a pause is
// renewed only where none of that length has come in its place, and ended only where it
// is still the one that was made here.
type pause struct {
	log     Log
	paused  []*paused
	renewed time.Time
}

// paused is a consumer, and until when it was paused here.
type paused struct {
	name  string
	until time.Time
}

// lasts reports whether somebody has paused the consumer for longer than an erasure
// ever does.
func lasts(state eventstore.ConsumerState) bool {
	return state.Paused && state.PausedFor > 2*pauseLength
}

// again pauses the consumer once more.
func (p *paused) again(ctx context.Context, log Log) error {
	p.until = time.Now().Add(pauseLength)
	return log.PauseConsumer(ctx, p.name, p.until)
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
		if err == nil && lasts(before) {
			continue
		}
		if err == nil {
			own := &paused{name: name}
			p.paused = append(p.paused, own)
			err = own.again(ctx, p.log)
		}
		if err != nil {
			return err
		}
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
	return p.each(ctx, func(own *paused, state eventstore.ConsumerState) error {
		switch {
		case lasts(state):
			return nil
		case !state.Paused:
			return wentOn(own)
		}
		return own.again(ctx, p.log)
	})
}

// held returns [ErrBusy] when the pause has ended before its time.
func (p *pause) held(ctx context.Context) error {
	return p.each(ctx, func(own *paused, state eventstore.ConsumerState) error {
		if !state.Paused {
			return wentOn(own)
		}
		return nil
	})
}

func wentOn(own *paused) error {
	return fmt.Errorf("erase: consumer %q went on: %w", own.name, ErrBusy)
}

// end lets the consumers go on that nobody else has paused since, also for a caller that
// was interrupted.
func (p *pause) end(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return p.each(ctx, func(own *paused, state eventstore.ConsumerState) error {
		if !state.Paused || !state.PausedUntil.Equal(own.until) {
			return nil
		}
		return p.log.ResumeConsumer(ctx, own.name)
	})
}

// each looks at every consumer that was paused here, and is there still: that of a
// rebuild ends with it.
func (p *pause) each(ctx context.Context, do func(*paused, eventstore.ConsumerState) error) error {
	var errs []error
	for _, own := range p.paused {
		state, err := p.log.ConsumerState(ctx, own.name)
		if errors.Is(err, eventstore.ErrNoConsumer) {
			continue
		}
		if err == nil {
			err = do(own, state)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
