package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

var (
	// ErrEpoch is returned when a position is of another epoch than the log, or the
	// log has begun a new one during a replay. A retry does not help: sequences of
	// the other epoch mean nothing here.
	ErrEpoch = errors.New("the log is of another epoch")

	// ErrUnfit is returned by a [Sink] for a record that it can never take. The
	// replay counts it and goes on.
	ErrUnfit = errors.New("the event does not fit")

	// ErrNothing says that no event matches a plan: a name or a bound is probably mistyped. A
	// retry does not help.
	ErrNothing = errors.New("nothing matches: check the job, kind and type, and the range")
)

// Sink takes the records of a replay. It is called by one goroutine.
type Sink interface {
	// Take takes a record, now or by the next Flush at the latest. The record is
	// the sink's to keep until then.
	Take(ctx context.Context, record messaging.Record) error
	// Flush returns once everything that was taken is where it belongs.
	Flush(ctx context.Context) error
}

const (
	// maxUnflushed and maxUnflushedBytes bound what a sink holds.
	maxUnflushed      = 500
	maxUnflushedBytes = 4 << 20
	// flushEvery is how long a record that a sink has taken waits at most; where the
	// pace has pauses, flushPaced.
	flushEvery = time.Second
	flushPaced = 20 * time.Millisecond
	// sinkTimeout bounds one call of a sink. An interruption does not cut it short,
	// so that nobody has to guess whether it had an effect.
	sinkTimeout = 30 * time.Second
)

// Plan is what is replayed, and how fast.
type Plan struct {
	Selection
	Pace Pace
	// Told hears how far it is, often and from the calling goroutine: done of total
	// sequences. Nil tells nobody.
	Told func(done, total uint64)
}

// Outcome is what a replay did, or would do.
type Outcome struct {
	Epoch string `json:"epoch"`
	// First and Last are the bounds as the log had them.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Next is where to go on after an early end; Last + 1 after a full one.
	Next uint64 `json:"next"`
	// Events and Bytes count the records, and their bodies, that the sink has taken,
	// or would.
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
	// Unfit counts those that it could never take.
	Unfit uint64 `json:"unfit"`
	// FirstAt and LastAt are when the log took the first and the last of them.
	FirstAt *time.Time `json:"firstAt,omitempty"`
	LastAt  *time.Time `json:"lastAt,omitempty"`
	// Seconds is how long it took. Of an estimate it is how long the pace takes, and
	// flat out how long the reading did: a sink adds its own time.
	Seconds float64 `json:"seconds"`
}

// Matched returns [ErrNothing] if a replay or an estimate has found no event.
func (o Outcome) Matched() error {
	if o.Events+o.Unfit == 0 {
		return ErrNothing
	}
	return nil
}

// Run replays. On an error, or when ctx ends, the outcome says how far it came.
func Run(ctx context.Context, log Log, sink Sink, plan Plan) (Outcome, error) {
	r, err := begin(ctx, log, plan)
	if err != nil {
		return Outcome{}, err
	}
	r.sink = sink
	err = r.run(ctx, log)
	r.outcome.Seconds = time.Since(r.began).Seconds()
	return r.outcome, err
}

// Estimate says what [Run] would do. It reads what is chosen and writes nothing.
func Estimate(ctx context.Context, log Log, plan Plan) (Outcome, error) {
	r, err := begin(ctx, log, plan)
	if err != nil {
		return Outcome{}, err
	}
	err = plan.scan(ctx, log, r.outcome.First, r.outcome.Last, func(record messaging.Record) error {
		r.tell(record)
		if plan.lets(record) {
			r.count(record)
			r.schedule.next(record)
		}
		return ctx.Err()
	})
	if r.outcome.Seconds = r.schedule.due.Seconds(); plan.Pace.Speed == 0 && plan.Pace.Rate == 0 {
		r.outcome.Seconds = time.Since(r.began).Seconds()
	}
	return r.outcome, err
}

// run is one replay under way.
type run struct {
	plan     Plan
	sink     Sink
	schedule schedule
	began    time.Time
	outcome  Outcome

	// The records that the sink has taken and not flushed, and since when.
	unflushed      int
	unflushedBytes int
	flushed        time.Time
	// seen is the last sequence that was dealt with.
	seen uint64
}

func begin(ctx context.Context, log Log, plan Plan) (*run, error) {
	if err := plan.Pace.Validate(); err != nil {
		return nil, err
	}
	settled, err := plan.settle(ctx, log)
	if err != nil {
		return nil, err
	}
	return &run{
		plan: plan, schedule: schedule{pace: plan.Pace}, began: time.Now(), flushed: time.Now(), seen: settled.first - 1,
		outcome: Outcome{Epoch: settled.epoch, First: settled.first, Last: settled.last, Next: settled.first},
	}, nil
}

func (r *run) run(ctx context.Context, log Log) error {
	err := r.plan.scan(ctx, log, r.outcome.First, r.outcome.Last, func(record messaging.Record) error {
		return r.each(ctx, record)
	})
	// What was taken before an early end is not taken back.
	if err = errors.Join(err, r.flush(ctx)); err != nil {
		return err
	}
	r.outcome.Next = max(r.outcome.Last+1, r.outcome.First)
	return r.sameEpoch(ctx, log)
}

// sameEpoch makes sure that all was read from one life of the log.
func (r *run) sameEpoch(ctx context.Context, log Log) error {
	state, err := log.State(ctx)
	if err == nil && state.Epoch != r.outcome.Epoch {
		err = fmt.Errorf("during the replay: %w: it is %s", ErrEpoch, state.Epoch)
	}
	return err
}

// each deals with one record between the bounds.
func (r *run) each(ctx context.Context, record messaging.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.tell(record)
	if r.plan.lets(record) {
		if err := r.await(ctx, record); err != nil {
			return err
		}
		if err := r.take(ctx, record); err != nil {
			return fmt.Errorf("replay sequence %d: %w", record.Sequence, err)
		}
	}
	r.seen = record.Sequence
	if r.unflushed == 0 {
		r.outcome.Next = r.seen + 1
		return nil
	}
	if r.unflushed < maxUnflushed && r.unflushedBytes < maxUnflushedBytes && time.Since(r.flushed) < flushEvery {
		return nil
	}
	return r.flush(ctx)
}

// await waits until the record is due.
func (r *run) await(ctx context.Context, record messaging.Record) error {
	pause := r.schedule.next(record) - time.Since(r.began)
	if pause <= 0 {
		return nil
	}
	if pause >= flushPaced || time.Since(r.flushed) >= flushPaced {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	return wait.For(ctx, pause)
}

func (r *run) take(ctx context.Context, record messaging.Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sinkTimeout)
	defer cancel()
	switch err := r.sink.Take(ctx, record); {
	case errors.Is(err, ErrUnfit):
		r.outcome.Unfit++
		return nil
	case err != nil:
		return err
	}
	r.count(record)
	r.unflushed++
	r.unflushedBytes += len(record.Body)
	return nil
}

// flush makes what the sink has taken count.
func (r *run) flush(ctx context.Context) error {
	if r.unflushed > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sinkTimeout)
		defer cancel()
		if err := r.sink.Flush(ctx); err != nil {
			return fmt.Errorf("replay sequences %d to %d: %w", r.outcome.Next, r.seen, err)
		}
	}
	r.unflushed, r.unflushedBytes, r.flushed = 0, 0, time.Now()
	r.outcome.Next = r.seen + 1
	return nil
}

func (r *run) count(record messaging.Record) {
	at := record.StoredAt
	if r.outcome.Events == 0 {
		r.outcome.FirstAt = &at
	}
	r.outcome.LastAt = &at
	r.outcome.Events++
	r.outcome.Bytes += uint64(len(record.Body))
}

func (r *run) tell(record messaging.Record) {
	if r.plan.Told != nil {
		r.plan.Told(record.Sequence-r.outcome.First+1, r.outcome.Last-r.outcome.First+1)
	}
}
