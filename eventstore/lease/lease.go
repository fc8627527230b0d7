package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// The bucket of operations: one key with the list of all of them, so that a single
// compare-and-set decides which may run.
const (
	operationKey = "all"
	// maxOperations bounds the list: those that run, and those that wait to be resumed
	// or undone.
	maxOperations = 64
	// maxOperationBytes bounds a text in an operation.
	maxOperationBytes = 512
	// maxCommandBytes bounds the command that resumes an operation. A longer one is left
	// out, because a command that was cut may do something else.
	maxCommandBytes  = 8 << 10
	operationRenewal = 5 * time.Second
)

var (
	// ErrRuns is returned by [List.Begin] while another operation on the
	// same thing runs. A retry helps once that has ended.
	ErrRuns = errors.New("another operation runs")

	// ErrLost ends an operation whose lease could not be renewed in time, so that
	// another may have begun. A repeat helps.
	ErrLost = errors.New("the lease of this operation was lost")

	// ErrNone is returned for an operation that is not in the list.
	ErrNone = errors.New("nothing matches: no such operation")
)

// WholeLog is the target of an operation that excludes every other.
const WholeLog = "log"

// State says how an operation stands.
type State string

// The states of operations. One that has succeeded is not listed any more.
const (
	Running     State = "running"
	Interrupted State = "interrupted"
	Failed      State = "failed"
)

// Operation is one change in several steps: a rebuild, swap, restore, erasure or a
// replay into the log.
type Operation struct {
	// Target is what is changed, such as "projection/history"; one operation at a time
	// runs on it. Kind names the operation.
	Target string `json:"target"`
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	// By, Host and PID say who runs it, and where. Neither is unique: containers can have
	// the same host name, and each has its own process 1.
	By   string `json:"by"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Place names the boot of a machine and the PID namespace in which PID is valid, and
	// Started is when the process started, in clock ticks since that boot. Place is empty
	// where the system has no such thing.
	Place   string `json:"place,omitempty"`
	Started uint64 `json:"started,omitempty"`
	// Resume is the command that goes on with it after an interruption.
	Resume string `json:"resume"`
	// Epoch is the one that a restore gives the log, by which its repetition recognises
	// what it has made already.
	Epoch   string    `json:"epoch,omitempty"`
	BeganAt time.Time `json:"beganAt"`
	// Until is when the lease of one that runs ends, by the server's clock.
	Until time.Time `json:"until"`
	State State     `json:"state"`
	// Step is what it does, and Done of Total how far it is; Total is 0 while not known.
	Step  string `json:"step,omitempty"`
	Done  uint64 `json:"done,omitempty"`
	Total uint64 `json:"total,omitempty"`
	// Error is why it failed.
	Error string `json:"error,omitempty"`
}

// excludes reports whether two operations must not run at the same time.
func (o Operation) excludes(other Operation) bool {
	return o.Target == other.Target || o.Target == WholeLog || other.Target == WholeLog
}

// refusedBy returns the error of an operation that has to wait for one in the list.
func (o Operation) refusedBy(all []Operation) error {
	for _, other := range all {
		if other.State == Running && o.excludes(other) {
			return fmt.Errorf("%w: %s; see realtime operations", ErrRuns, other.holder())
		}
		// What an interrupted restore has left is no log to work on.
		if other.Target == WholeLog && o.Target != WholeLog {
			return fmt.Errorf("%w: %s was interrupted; resume it with %q, or undo it", ErrRuns, other.holder(), other.Resume)
		}
	}
	return nil
}

// holder describes who runs the operation.
func (o Operation) holder() string {
	return fmt.Sprintf("%s of %s, by %s on %s (process %d), since %s", o.Kind, o.Target, o.By, o.Host, o.PID, o.BeganAt.Format(time.RFC3339))
}

// List is the list of operations beside the log, with a lease for each one that
// runs. Its methods may be called concurrently, in any number of processes.
type List struct {
	kept entry[Operation]
	host string
	// place and started are those of this process.
	place   string
	started uint64
}

// New returns the list on a connection, which stays the caller's, in a JetStream domain, or
// that of the server where domain is empty. The bucket is made with the first operation.
func New(conn *nats.Conn, domain string) (*List, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return nil, fmt.Errorf("open the list of operations: %w", err)
	}
	place := ownPlace()
	return &List{kept: operationsOf(client.JS, place), host: hostName(), place: place, started: startOf(os.Getpid())}, nil
}

// hostName returns the host name of this process.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// operationsOf returns the list as it is stored. An operation whose lease has ended is an
// interrupted one, and so is one whose process has ended, which shows only in the same
// place.
func operationsOf(js jetstream.JetStream, place string) entry[Operation] {
	return entry[Operation]{js, operationKey, "the list of operations", func(o *Operation, now time.Time) {
		gone := place != "" && o.Place == place && ended(o.PID, o.Started)
		if o.State == Running && (gone || now.After(o.Until)) {
			o.State = Interrupted
		}
	}}
}

// Begin takes the lease for an operation, of which Target, Kind, By and Resume are
// given, and renews it until [Held.End]. It takes the place of an interrupted or failed
// one on the same target. While another runs it returns [ErrRuns], with who
// holds the lease.
//
// The context that it returns ends with [ErrLost] when the lease was lost.
func (o *List) Begin(ctx context.Context, operation Operation) (context.Context, *Held, error) {
	operation.ID, operation.Host, operation.PID = rand.Text(), o.host, os.Getpid()
	operation.Place, operation.Started = o.place, o.started
	operation.By = cmp.Or(short(operation.By), "unknown")
	operation.Target, operation.State = short(operation.Target), Running
	if len(operation.Resume) > maxCommandBytes {
		operation.Resume = longCommand
	}
	err := o.kept.change(ctx, true, func(all []Operation, now time.Time) ([]Operation, error) {
		if err := operation.refusedBy(all); err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(other Operation) bool { return other.Target == operation.Target })
		if len(all) >= maxOperations {
			return nil, fmt.Errorf("%w: %d operations wait to be resumed or undone; see realtime operations", ErrRuns, len(all))
		}
		operation.BeganAt, operation.Until = now, now.Add(leaseTime)
		return append(all, operation), nil
	})
	if err != nil {
		return ctx, nil, fmt.Errorf("begin %s of %s: %w", operation.Kind, operation.Target, err)
	}
	held := &Held{operations: o, operation: operation}
	return held.lease.begin(ctx, operationRenewal, held.renew), held, nil
}

// Check returns [ErrRuns], with who holds the lease, if an operation with a target could not
// begin now. [List.Begin] may still be refused, because another operation may begin meanwhile.
func (o *List) Check(ctx context.Context, target string) error {
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	all, err := o.List(bounded)
	if err != nil {
		return err
	}
	return Operation{Target: short(target)}.refusedBy(all)
}

// List returns the operations that run, and those that wait to be resumed or undone.
func (o *List) List(ctx context.Context) ([]Operation, error) {
	all, _, _, err := o.kept.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the operations: %w", err)
	}
	return all, nil
}

// WholeLogHolder describes the operation on [WholeLog] in the list; found is false
// without one.
func WholeLogHolder(ctx context.Context, js jetstream.JetStream) (holder string, found bool, err error) {
	all, _, _, err := operationsOf(js, "").read(ctx)
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(all, func(o Operation) bool { return o.Target == WholeLog })
	if i < 0 {
		return "", false, nil
	}
	return all[i].holder(), true, nil
}

// Forget removes an operation that does not run, as its undoing does when it has
// undone what was left.
func (o *List) Forget(ctx context.Context, target string) error {
	err := o.kept.change(ctx, false, func(all []Operation, _ time.Time) ([]Operation, error) {
		for i, other := range all {
			if other.Target != target {
				continue
			}
			if other.State == Running {
				return nil, fmt.Errorf("%w: %s", ErrRuns, other.holder())
			}
			return slices.Delete(all, i, i+1), nil
		}
		return nil, ErrNone
	})
	if err != nil {
		return fmt.Errorf("forget the operation on %s: %w", target, err)
	}
	return nil
}

// Held is an operation whose lease is held.
type Held struct {
	operations *List
	lease      renewal

	mu        sync.Mutex // guards operation
	operation Operation
}

// Report notes how far the operation is; the list shows it after the next renewal.
func (h *Held) Report(step string, done, total uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operation.Step, h.operation.Done, h.operation.Total = step, done, total
}

// End gives the lease back. An operation that has succeeded is removed from the list;
// one that has failed or was interrupted stays in it.
func (h *Held) End(ctx context.Context, failure error) error {
	h.lease.end()
	interrupted := ctx.Err() != nil
	defer h.lease.cancel(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return h.write(ctx, func(operation *Operation) (keep bool) {
		switch {
		case failure == nil:
			return false
		case interrupted:
			operation.State = Interrupted
		default:
			operation.State, operation.Error = Failed, short(failure.Error())
		}
		return true
	})
}

func (h *Held) renew(ctx context.Context) error {
	return h.write(ctx, func(*Operation) bool { return true })
}

// write puts the operation into the list, or removes it.
func (h *Held) write(ctx context.Context, change func(*Operation) (keep bool)) error {
	return h.operations.kept.change(ctx, false, func(all []Operation, now time.Time) ([]Operation, error) {
		h.mu.Lock()
		own := h.operation
		h.mu.Unlock()
		i := slices.IndexFunc(all, func(other Operation) bool { return other.ID == own.ID })
		if i < 0 || all[i].State != Running {
			return nil, ErrLost
		}
		own.Until = now.Add(leaseTime)
		if !change(&own) {
			return slices.Delete(all, i, i+1), nil
		}
		all[i] = own
		return all, nil
	})
}

// longCommand stands in place of a command that is too long to be kept.
const longCommand = "repeat the command as it was given: it is too long to be listed"

// short cuts a text to the bound of one in an operation.
func short(text string) string {
	return text[:min(len(text), maxOperationBytes)]
}
