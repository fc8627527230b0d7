package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// The bounds of the record of work. Its value is one message, and stays below the 1 MiB
// that NATS takes unless it is told otherwise.
const (
	workKey = "work"
	// maxWorks bounds the record. Work that has ended is removed from it when that is the
	// oldest and there is no room.
	maxWorks = 40
	// maxRunning bounds the work that runs at once, at all gateways.
	maxRunning = 8
	// maxRequestBytes and maxResultBytes bound the JSON of what was asked for and of what
	// came of it.
	maxRequestBytes = 4 << 10
	maxResultBytes  = 8 << 10
	// workRenewal is how often the record shows progress, and how long a cancellation
	// takes at most to reach the process that does the work. Each renewal writes the whole
	// record: at most 0.5 MB, for each of maxRunning pieces of work.
	workRenewal = 2 * time.Second
)

var (
	// ErrBusy is returned by [Record.Begin] while as much work runs as may. A retry helps
	// once some has ended.
	ErrBusy = fmt.Errorf("%d pieces of work are running, and no more may", maxRunning)

	// ErrNoWork is returned for work that is not in the record. A retry does not help.
	ErrNoWork = errors.New("there is no such work")

	// ErrEnded is returned by [Record.Cancel] for work that has ended. A retry does not
	// help.
	ErrEnded = errors.New("the work has ended")

	// ErrCancelled is the cause with which the context of cancelled work ends.
	ErrCancelled = errors.New("cancelled by an operator")

	// ErrTooLarge is returned by [Record.Begin] for a request that is not kept.
	ErrTooLarge = fmt.Errorf("the request has more than %d bytes", maxRequestBytes)
)

// WorkState says how work stands.
type WorkState string

// The states of work.
const (
	WorkRunning   WorkState = "running"
	WorkDone      WorkState = "done"
	WorkFailed    WorkState = "failed"
	WorkCancelled WorkState = "cancelled"
	// WorkInterrupted: its gateway was stopped, or has not renewed the lease.
	WorkInterrupted WorkState = "interrupted"
)

// Work is one piece of long work that a gateway does for an operator.
type Work struct {
	ID string `json:"id"`
	// Kind names the work, such as "rebuild", and Target what it works on, such as
	// "projection/history".
	Kind   string `json:"kind"`
	Target string `json:"target"`
	// Request is what was asked for.
	Request json.RawMessage `json:"request,omitempty"`
	// By, Subject and From say who asked: the role and the subject of the token, and the
	// address. INTERNAL_TOKEN has no subject.
	By      string `json:"by"`
	Subject string `json:"subject,omitempty"`
	From    string `json:"from"`
	// Gateway is the name of the process that does it.
	Gateway string    `json:"gateway"`
	State   WorkState `json:"state"`
	BeganAt time.Time `json:"beganAt"`
	// Until is when the lease of work that runs ends.
	Until   time.Time  `json:"until"`
	EndedAt *time.Time `json:"endedAt,omitempty"`
	// Step is what it does, and Done of Total how far it is; Total is 0 while not known.
	Step  string `json:"step,omitempty"`
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
	// Cancelling says that an operator has cancelled it, and that it has not ended yet.
	Cancelling bool `json:"cancelling,omitempty"`
	// Error is why it failed or was interrupted.
	Error string `json:"error,omitempty"`
	// Result is what came of it; absent where it has more than 8 KiB.
	Result json.RawMessage `json:"result,omitempty"`
}

// Record is the record of long work, in the bucket of operations. It has the work that
// runs and the newest that has ended. Its methods may be called concurrently, in any number
// of processes.
type Record struct {
	kept    entry[Work]
	gateway string
}

// NewRecord returns the record on a connection, which stays the caller's, in a JetStream
// domain, or that of the server where domain is empty. gateway is the name of this process.
func NewRecord(conn *nats.Conn, domain, gateway string) (*Record, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return nil, fmt.Errorf("open the record of work: %w", err)
	}
	return &Record{kept: entry[Work]{client.JS, workKey, "the record of work", judgeWork}, gateway: short(gateway)}, nil
}

// judgeWork makes work whose lease has ended interrupted.
func judgeWork(work *Work, now time.Time) {
	if work.State == WorkRunning && now.After(work.Until) {
		work.State, work.EndedAt, work.Cancelling = WorkInterrupted, &work.Until, false
		work.Error = cmp.Or(work.Error, "its gateway has ended or cannot reach the log")
	}
}

// Begin adds work to the record, of which Kind, Target, Request, By, Subject and From are given, and
// renews its lease until [HeldWork.End]. The context that it returns ends with ctx, with
// [ErrCancelled] when an operator cancels the work, and with [ErrLost] when the lease was
// lost.
func (r *Record) Begin(ctx context.Context, work Work) (context.Context, *HeldWork, error) {
	if len(work.Request) > maxRequestBytes {
		return ctx, nil, ErrTooLarge
	}
	work.ID, work.Gateway, work.State = rand.Text(), r.gateway, WorkRunning
	work.Target, work.By, work.Subject, work.From = short(work.Target), short(work.By), short(work.Subject), short(work.From)
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := r.kept.change(bounded, true, func(all []Work, now time.Time) ([]Work, error) {
		running := 0
		for _, other := range all {
			if other.State == WorkRunning {
				running++
			}
		}
		if running >= maxRunning {
			return nil, ErrBusy
		}
		work.BeganAt, work.Until = now, now.Add(leaseTime)
		for excess := len(all) + 1 - maxWorks; excess > 0; excess-- {
			oldest := slices.IndexFunc(all, func(other Work) bool { return other.State != WorkRunning })
			all = slices.Delete(all, oldest, oldest+1)
		}
		return append(all, work), nil
	})
	if err != nil {
		return ctx, nil, fmt.Errorf("begin %s of %s: %w", work.Kind, work.Target, err)
	}
	held := &HeldWork{record: r, work: work}
	return held.lease.begin(ctx, workRenewal, held.renew), held, nil
}

// List returns the work that runs, and the newest that has ended, in the order in which it
// began.
func (r *Record) List(ctx context.Context) ([]Work, error) {
	all, _, _, err := r.kept.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the work: %w", err)
	}
	return all, nil
}

// Cancel asks the process that does the work to end it, which takes a few seconds, and what
// the work's current step takes. It returns the work as it stands.
func (r *Record) Cancel(ctx context.Context, id string) (Work, error) {
	var cancelled Work
	err := r.kept.change(ctx, false, func(all []Work, _ time.Time) ([]Work, error) {
		i := slices.IndexFunc(all, func(other Work) bool { return other.ID == id })
		switch {
		case i < 0:
			return nil, ErrNoWork
		case all[i].State != WorkRunning:
			return nil, fmt.Errorf("%w: it is %s", ErrEnded, all[i].State)
		}
		all[i].Cancelling = true
		cancelled = all[i]
		return all, nil
	})
	if err != nil {
		return Work{}, fmt.Errorf("cancel the work %.64q: %w", id, err)
	}
	return cancelled, nil
}

// HeldWork is work whose lease is held.
type HeldWork struct {
	record *Record
	lease  renewal

	mu   sync.Mutex // guards work
	work Work
}

// Work returns the work as this process has it.
func (h *HeldWork) Work() Work {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.work
}

// Report notes how far the work is; the record shows it after the next renewal.
func (h *HeldWork) Report(step string, done, total uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.work.Step, h.work.Done, h.work.Total = short(step), done, total
}

// End notes what came of the work, and returns the work with that, also when the record
// cannot be written or shows the work as interrupted, whose lease was lost.
// ctx is the one that [Record.Begin] returned: it says whether the work was cancelled or
// interrupted.
func (h *HeldWork) End(ctx context.Context, result any, failure error) (Work, error) {
	h.lease.end()
	defer h.lease.cancel(nil)
	text, err := json.Marshal(result)
	if result == nil || err != nil || len(text) > maxResultBytes {
		text = nil
	}
	state, cause := WorkDone, context.Cause(ctx)
	switch {
	case failure == nil:
	case errors.Is(cause, ErrCancelled):
		state, failure = WorkCancelled, cause
	case cause != nil:
		state = WorkInterrupted
	default:
		state = WorkFailed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	end := func(work *Work, now time.Time) {
		work.State, work.EndedAt, work.Until, work.Result, work.Cancelling = state, &now, now, text, false
		if failure != nil {
			work.Error = short(failure.Error())
		}
	}
	if err := h.write(ctx, end); err != nil {
		ended := h.Work()
		end(&ended, time.Now().UTC())
		return ended, err
	}
	return h.Work(), nil
}

// renew writes the progress, and ends the work's context if the work was cancelled.
func (h *HeldWork) renew(ctx context.Context) error {
	cancelling := false
	err := h.write(ctx, func(work *Work, _ time.Time) { cancelling = work.Cancelling })
	if err == nil && cancelling {
		h.lease.cancel(ErrCancelled)
	}
	return err
}

// write puts the work into the record as change makes it of what this process has. Only the
// cancellation comes from the record.
func (h *HeldWork) write(ctx context.Context, change func(work *Work, now time.Time)) error {
	return h.record.kept.change(ctx, false, func(all []Work, now time.Time) ([]Work, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(all, func(other Work) bool { return other.ID == h.work.ID })
		if i < 0 || all[i].State != WorkRunning {
			return nil, ErrLost
		}
		own := h.work
		own.Until, own.Cancelling = now.Add(leaseTime), all[i].Cancelling
		change(&own, now)
		h.work, all[i] = own, own
		return all, nil
	})
}
