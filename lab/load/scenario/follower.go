package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// errNoCatchUp is returned when a subscription is not caught up in time.
var errNoCatchUp = errors.New("no novel.caught-up")

// readBufferBytes is what a follower reads at once: several events of a burst.
const readBufferBytes = 4096

// follower is one client that follows one job, over any number of sockets.
type follower struct {
	trial *trial
	board *board
	job   int // of the plan

	// caughtUp has a value when a catch-up has ended.
	caughtUp chan struct{}

	mu      sync.Mutex // guards the fields below
	socket  *socket.Socket
	ledger  *measure.Ledger
	live    bool             // the catch-up has ended
	latency *measure.Latency // of live events
	stall   chan struct{}    // what the reading waits for; nil: for nothing
	wrong   string           // the first thing that must not be
	epoch   string           // of the sequences in ledger; empty while it is not known
}

// newFollower returns a client that is due every event of its job.
func (t *trial) newFollower(b *board, job int) *follower {
	return &follower{
		trial: t, board: b, job: job, caughtUp: make(chan struct{}, 1),
		ledger: measure.NewLedger(b.plan.perJob(job)), latency: b.latency,
	}
}

// take handles one event, on the socket's goroutine.
func (f *follower) take(e socket.Event) {
	switch e.Name {
	case socket.DomainEvent:
		f.deliver(e)
	case messaging.EventSubscribed:
		var subscribed messaging.Subscribed
		if err := e.Decode(&subscribed); err != nil {
			f.complain(err.Error())
			return
		}
		f.mu.Lock()
		f.epoch = subscribed.Epoch
		f.mu.Unlock()
	case messaging.EventCaughtUp:
		var at messaging.CaughtUp
		if err := e.Decode(&at); err != nil {
			f.complain(err.Error())
		}
		f.mu.Lock()
		if position, err := messaging.ParsePosition(at.Position); err == nil {
			f.epoch = position.Epoch
		}
		f.live = true
		f.mu.Unlock()
		select {
		case f.caughtUp <- struct{}{}:
		default:
		}
	case messaging.EventGap, messaging.EventError:
		args, _ := e.Args()
		f.complain(fmt.Sprintf("%s %s", e.Name, args))
	}
	f.mu.Lock()
	stall := f.stall
	f.mu.Unlock()
	if stall != nil {
		<-stall
	}
}

func (f *follower) deliver(e socket.Event) {
	d, err := readDelivered(e)
	if err != nil {
		f.complain(err.Error())
		return
	}
	number := d.number(f.board.plan.jobs[f.job])
	sequence := d.Sequence
	if sequence == 0 {
		sequence = uint64(number) + 1 // of an older writer: ordered by time
	}
	f.mu.Lock()
	fresh, latency := f.ledger.Take(number, sequence), f.latency
	if !f.live {
		latency = nil
	}
	f.mu.Unlock()
	if fresh {
		f.board.post(f.board.plan.index(f.job, number), e.Received, latency)
	}
}

func (f *follower) complain(words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong == "" {
		f.wrong = words
	}
}

// follow connects and subscribes, after the last event where there is one, and
// returns when the subscription is caught up. cfg may say how to dial.
func (f *follower) follow(ctx context.Context, cfg socket.Config) error {
	cfg.Handler, cfg.ReadBufferBytes = f.take, readBufferBytes
	s, err := f.trial.dial(ctx, cfg)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.socket = s
	request := map[string]any{"jobId": f.board.plan.jobs[f.job]}
	if last := f.ledger.Last(); last > 0 {
		request["since"] = f.position(last)
	}
	f.mu.Unlock()
	if err := s.Emit(messaging.EventSubscribe, request); err != nil {
		return err
	}
	timer := time.NewTimer(f.trial.cfg.ConnectTimeout())
	defer timer.Stop()
	select {
	case <-f.caughtUp:
		return nil
	case <-s.Ended():
		return fmt.Errorf("after subscribe: %w", s.Err())
	case <-timer.C:
		return fmt.Errorf("%w within %s", errNoCatchUp, f.trial.cfg.ConnectTimeout())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// position returns what a sequence is resumed from. A gateway that names no epoch, as
// older ones do, is given the sequence alone. The mutex is held.
func (f *follower) position(sequence uint64) any {
	if f.epoch == "" {
		return sequence
	}
	return messaging.Position{Epoch: f.epoch, Sequence: sequence}.String()
}

// cut ends the connection without a word.
func (f *follower) cut() {
	f.mu.Lock()
	s := f.socket
	f.live = false
	f.mu.Unlock()
	s.Kill()
	f.trial.count(-1)
}

// measureInto makes the latencies of what comes from now on count elsewhere, and
// lets the reading wait for stall, where there is one.
func (f *follower) measureInto(latency *measure.Latency, stall chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency, f.stall = latency, stall
}
