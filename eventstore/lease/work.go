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
	workLease       = 20 * time.Second
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
	// Gateway is the host name of the process that does it.
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
	kept entry
	host string
}

// NewRecord returns the record on a connection, which stays the caller's, in a JetStream
// domain, or that of the server where domain is empty.
func NewRecord(conn *nats.Conn, domain string) (*Record, error) {
	list, err := New(conn, domain)
	if err != nil {
		return nil, err
	}
	return &Record{kept: entry{list.kept.js, workKey}, host: list.host}, nil
}

// Begin adds work to the record, of which Kind, Target, Request, By, Subject and From are given, and
// renews its lease until [HeldWork.End]. The context that it returns ends with ctx, with
// [ErrCancelled] when an operator cancels the work, and with [ErrLost] when the lease was
// lost.
func (r *Record) Begin(ctx context.Context, work Work) (context.Context, *HeldWork, error) {
	if len(work.Request) > maxRequestBytes {
		return ctx, nil, ErrTooLarge
	}
	work.ID, work.Gateway, work.State = rand.Text(), r.host, WorkRunning
	work.Target, work.By, work.Subject, work.From = short(work.Target), short(work.By), short(work.Subject), short(work.From)
	bounded, cancel := context.WithTimeout(ctx, workLease/4)
	defer cancel()
	err := r.change(bounded, true, func(all []Work, now time.Time) ([]Work, error) {
		running := 0
		for _, other := range all {
			if other.State == WorkRunning {
				running++
			}
		}
		if running >= maxRunning {
			return nil, ErrBusy
		}
		work.BeganAt, work.Until = now, now.Add(workLease)
		for excess := len(all) + 1 - maxWorks; excess > 0; excess-- {
			oldest := slices.IndexFunc(all, func(other Work) bool { return other.State != WorkRunning })
			all = slices.Delete(all, oldest, oldest+1)
		}
		return append(all, work), nil
	})
	if err != nil {
		return ctx, nil, fmt.Errorf("begin %s of %s: %w", work.Kind, work.Target, err)
	}
	held := &HeldWork{record: r, work: work, ends: time.Now().Add(workLease)}
	ctx, held.cancel = context.WithCancelCause(ctx)
	held.endRenewal = renewing(workRenewal, held.cancel, func() { held.renew(ctx) })
	return ctx, held, nil
}

// List returns the work that runs, and the newest that has ended, in the order in which it
// began.
func (r *Record) List(ctx context.Context) ([]Work, error) {
	value, _, now, err := r.kept.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the work: %w", err)
	}
	return decodeWork(value, now)
}

// Cancel asks the process that does the work to end it, which takes a few seconds, and what
// the work's current step takes. It returns the work as it stands.
func (r *Record) Cancel(ctx context.Context, id string) (Work, error) {
	var cancelled Work
	err := r.change(ctx, false, func(all []Work, _ time.Time) ([]Work, error) {
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

func (r *Record) change(ctx context.Context, create bool, decide func(all []Work, now time.Time) ([]Work, error)) error {
	return r.kept.change(ctx, create, func(value []byte, now time.Time) ([]byte, error) {
		all, err := decodeWork(value, now)
		if err != nil {
			return nil, err
		}
		if all, err = decide(all, now); err != nil {
			return nil, err
		}
		return json.Marshal(all)
	})
}

// decodeWork reads the record as it was stored. Work whose lease has ended was interrupted.
func decodeWork(value []byte, now time.Time) (all []Work, err error) {
	if len(value) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(value, &all); err != nil {
		return nil, fmt.Errorf("read the record of work: %w", err)
	}
	for i := range all {
		if work := &all[i]; work.State == WorkRunning && now.After(work.Until) {
			work.State, work.EndedAt, work.Cancelling = WorkInterrupted, &work.Until, false
			work.Error = cmp.Or(work.Error, "its gateway has ended or cannot reach the log")
		}
	}
	return all, nil
}

// HeldWork is work whose lease is held.
type HeldWork struct {
	record     *Record
	cancel     context.CancelCauseFunc
	endRenewal func()
	// ends is when the lease ends, if it is not renewed before; it belongs to renew.
	ends time.Time

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
	h.endRenewal()
	defer h.cancel(nil)
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workLease/4)
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

// renew renews the lease once, shows the progress, and ends the work's context when it was
// cancelled or the lease is lost.
func (h *HeldWork) renew(ctx context.Context) {
	began := time.Now()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), workLease/4)
	defer cancel()
	cancelling := false
	err := h.write(bounded, func(work *Work, _ time.Time) { cancelling = work.Cancelling })
	switch {
	case err == nil && cancelling:
		h.cancel(ErrCancelled)
		fallthrough
	case err == nil:
		h.ends = began.Add(workLease)
	case errors.Is(err, ErrLost), time.Now().After(h.ends):
		h.cancel(fmt.Errorf("%w: %w", ErrLost, err))
	}
}

// write puts the work into the record as change makes it of what this process has. Only the
// cancellation comes from the record.
func (h *HeldWork) write(ctx context.Context, change func(work *Work, now time.Time)) error {
	return h.record.change(ctx, false, func(all []Work, now time.Time) ([]Work, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(all, func(other Work) bool { return other.ID == h.work.ID })
		if i < 0 || all[i].State != WorkRunning {
			return nil, ErrLost
		}
		own := h.work
		own.Until, own.Cancelling = now.Add(workLease), all[i].Cancelling
		change(&own, now)
		h.work, all[i] = own, own
		return all, nil
	})
}
