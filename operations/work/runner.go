package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/operations"
)

// ErrInvalid is wrapped by the errors of requests that name what does not exist, or that
// ask for what is not allowed. A retry does not help.
var ErrInvalid = errors.New("the request is not valid")

// ErrStopping is returned while the process stops. A retry at another gateway helps.
var ErrStopping = errors.New("this gateway is stopping")

// Caller is who asks for work.
type Caller struct {
	// Role and Subject are those of the caller's token, and From is the address.
	// INTERNAL_TOKEN has no subject.
	Role, Subject, From string
}

// String is how the list of operations and the record of erasures name the caller.
func (c Caller) String() string {
	who := "role " + c.Role
	if c.Subject != "" {
		who = c.Subject + ", " + who
	}
	return who + " of the API, from " + c.From
}

// Config is what a [Runner] works with.
type Config struct {
	Record *lease.Record
	// Free returns [lease.ErrRuns] while another operation holds the lease of a target.
	Free func(ctx context.Context, target string) error
	// Operator returns an operator for one piece of work, which closes it.
	Operator func(by string) *operations.Operator
	Guard    *contain.Guard
	// Ended is called with each piece of work that has ended, by the goroutine that did it.
	Ended  func(ctx context.Context, work lease.Work)
	Logger *slog.Logger
}

// Runner does long work. Its methods may be called concurrently.
type Runner struct {
	cfg Config

	mu      sync.Mutex      // guards the fields below, and starts against the wait
	ctx     context.Context // of Run; nil before it and after its end
	running sync.WaitGroup
}

// New returns a runner, which takes work once [Runner.Run] is called.
func New(cfg Config) *Runner { return &Runner{cfg: cfg} }

// Run lets work be started until ctx ends, which interrupts what runs, and waits for that.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.running.Wait()
	return nil
}

// task is one piece of work. It returns what came of it, also with an error.
type task func(ctx context.Context, operator *operations.Operator, report operations.Report) (result any, err error)

// start begins work, which outlives the request, and returns it while it runs. holds is the
// target whose lease the work takes, empty for none: while another operation has it, the work
// is refused. Work that loses the race for it after that fails.
func (r *Runner) start(kind, target, holds string, request any, by Caller, do task) (lease.Work, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return lease.Work{}, err
	}
	life, err := r.enter()
	if err != nil {
		return lease.Work{}, err
	}
	if holds != "" {
		if err := r.cfg.Free(life, holds); err != nil {
			r.running.Done()
			return lease.Work{}, fmt.Errorf("begin %s of %s: %w", kind, target, err)
		}
	}
	begun, held, err := r.cfg.Record.Begin(life, lease.Work{
		Kind: kind, Target: target, Request: text, By: by.Role, Subject: by.Subject, From: by.From,
	})
	if err != nil {
		r.running.Done()
		return lease.Work{}, err
	}
	started := held.Work()
	go func() { // ends with the work, which ends with life at the latest
		defer r.running.Done()
		var result any
		err := r.cfg.Guard.Do("work of operators", func() (err error) {
			operator := r.cfg.Operator(by.String())
			defer func() { err = errors.Join(err, operator.Close()) }()
			result, err = do(begun, operator, held.Report)
			return err
		})
		ended, recorded := held.End(begun, result, err)
		if recorded != nil {
			r.cfg.Logger.Warn("the end of work is not in the record", "kind", kind, "target", target, "id", ended.ID, "err", recorded)
		}
		r.cfg.Ended(context.WithoutCancel(begun), ended)
	}()
	return started, nil
}

// enter counts one more piece of work, and returns the context that ends with the process.
func (r *Runner) enter() (context.Context, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return nil, ErrStopping
	}
	r.running.Add(1)
	return r.ctx, nil
}
