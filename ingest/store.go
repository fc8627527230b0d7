package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/measure"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// fate is the outcome of an event that was stored by itself.
type fate int

const (
	wasNotStored fate = iota
	wasStored
	wasDuplicate
)

// storeOne stores one accepted event or canary by itself. The event ends as stored or
// dead-lettered, or as abandoned if ctx ends first.
func (i *Ingest) storeOne(ctx context.Context, e *event) (became fate) {
	defer e.settle()
	defer i.guard.Recover("event", nil)
	if e.canary != "" {
		i.storeCanary(ctx, e.canary)
		return wasNotStored
	}
	var receipt messaging.Receipt
	var err error
	began := i.arrival()
	if e.request != nil {
		receipt, err = i.appendLine(ctx, e)
	} else {
		receipt, err = i.appendEvent(ctx, e)
	}
	if e.span != "" {
		i.wrote([]*event{e}, began, err)
	}
	switch {
	case err != nil:
		i.failed(ctx, e, err)
		return wasNotStored
	case receipt.Duplicate:
		became = wasDuplicate
	default:
		became = wasStored
	}
	i.stored(e, receipt)
	return became
}

// stored ends an event that is in the log: it answers the request or queues the receipt.
func (i *Ingest) stored(e *event, stored messaging.Receipt) {
	defer e.settle()
	defer e.finishSpan(stored, nil)
	measure.Since(i.metrics.logged, e.receivedAt, time.Now())
	i.canaries.pass(stageStored, 1)
	id, jobID := e.record.ID, e.record.JobID
	if e.request != nil {
		// Under a message id that no other event has, a duplicate is a first attempt
		// whose answer was lost.
		duplicate := stored.Duplicate && id != ""
		i.metrics.stored(duplicate)
		e.request.set(e.line, outcome{receipt: &receipt{ID: id, JobID: jobID, Sequence: stored.Sequence, Duplicate: duplicate}})
		return
	}
	i.metrics.stored(stored.Duplicate)
	if id != "" {
		i.receipts.offer(messaging.Receipt{ID: id, JobID: jobID, Sequence: stored.Sequence, Duplicate: stored.Duplicate})
	}
}

// failed ends an event that is not in the log. If the log refuses an event from Redis for
// good, the event becomes a dead letter and its producer gets a refusal.
func (i *Ingest) failed(ctx context.Context, e *event, err error) {
	e.finishSpan(messaging.Receipt{}, err)
	rejection, final := refusal(err)
	if e.request != nil {
		e.request.fail(e, rejection, err)
		return
	}
	id, jobID := e.record.ID, e.record.JobID
	if final {
		letter := i.newLetter(rejection, string(e.record.Body))
		if id != "" {
			letter.refusal = &messaging.Refusal{ID: id, JobID: jobID, Reason: rejection.Reason}
		}
		i.bury(ctx, letter)
		return
	}
	i.abandon(err)
}

// abandon counts an event that was given up.
func (i *Ingest) abandon(err error) {
	i.metrics.abandoned.Inc()
	i.abandonedFor.Store(&err)
	i.abandoned.Add(1)
}

// appendEvent gives the record of an event from Redis its identity and appends the record.
func (i *Ingest) appendEvent(ctx context.Context, e *event) (messaging.Receipt, error) {
	record := e.record
	if record.ID != "" {
		return i.log.Append(ctx, record)
	}
	baseline, err := i.baseline(ctx, e.via)
	if err != nil {
		return messaging.Receipt{}, err
	}
	id := i.identities.take(record.Body, time.Now())
	var stored uint64
	defer func() { i.identities.put(id, stored, time.Now()) }()
	floor := max(id.floor, baseline)
	for {
		record.MessageID = id.messageID()
		receipt, err := i.log.Append(ctx, record)
		if isConflict(err) {
			continue // a producer has used this name as an id
		}
		if err != nil {
			return receipt, err
		}
		if receipt.Sequence <= floor {
			if receipt.Duplicate {
				continue // an earlier publish has this ordinal
			}
			i.restart(e.via)
		}
		stored = receipt.Sequence
		return receipt, nil
	}
}

// identify takes the identity of an event from Redis that has no id, for one batch;
// putIdentity returns it. identify returns false if the head of the log has to be read
// first.
func (i *Ingest) identify(e *event) bool {
	if e.request != nil || e.record.ID != "" {
		return true
	}
	baseline, known := e.via.knownBaseline()
	if !known {
		return false
	}
	e.identity = i.identities.take(e.record.Body, time.Now())
	e.floor = max(e.identity.floor, baseline)
	return true
}

// putIdentity returns the identity of an event that was stored at sequence. A sequence of 0
// means that it was not stored, or that this is unknown: the next attempt uses the same
// ordinal.
func (i *Ingest) putIdentity(e *event, sequence uint64) {
	if e.identity == nil {
		return
	}
	switch {
	case sequence == 0:
		e.identity.next--
	case sequence <= e.floor:
		i.restart(e.via)
	}
	i.identities.put(e.identity, sequence, time.Now())
	e.identity = nil
}

// restart clears the sequences of a log that has started again.
func (i *Ingest) restart(via *connection) {
	i.identities.restart()
	via.restart()
}

// baseline returns the head of the log from before a connection subscribed.
func (i *Ingest) baseline(ctx context.Context, c *connection) (uint64, error) {
	for failed := false; ; {
		head, err := c.baseline(ctx, i.cfg.ConnectTimeout)
		if err == nil {
			if failed {
				i.headRecovered()
			}
			return head, nil
		}
		if !failed && ctx.Err() == nil {
			failed = true
			if i.headFailures.add(time.Now()) {
				i.logger.Warn("the head of the log cannot be read and is asked for again; events without an id wait for it", "error", err)
			}
		}
		if err := i.pause(ctx, "read the head of the log", err); err != nil {
			return 0, err
		}
	}
}

// headRecovered records that the head of the log was read after failed attempts.
func (i *Ingest) headRecovered() {
	if ended, lasted, _ := i.headFailures.remove(time.Now()); ended {
		i.logger.Info("the head of the log is read again", "after", lasted.Round(time.Millisecond))
	}
}

// pause counts a failed request and waits before the next attempt. It returns an error once
// ctx has ended. The caller logs the outage; see failures.
func (i *Ingest) pause(ctx context.Context, attempted string, cause error) error {
	if ctx.Err() == nil {
		i.metrics.logFailures.Inc()
	}
	if wait.For(ctx, i.cfg.RetryInterval) != nil {
		return fmt.Errorf("%s: %w: %w", attempted, context.Cause(ctx), cause)
	}
	return nil
}

// refusal returns why the log will never accept an event, if err says so.
func refusal(err error) (*messaging.Rejection, bool) {
	if isConflict(err) {
		return &messaging.Rejection{
			Reason: messaging.ReasonIDConflict,
			Detail: "the log has this id with another body",
		}, true
	}
	var rejection *messaging.Rejection
	ok := errors.As(err, &rejection)
	return rejection, ok
}

func isConflict(err error) bool {
	var conflict Conflict
	return errors.As(err, &conflict) && conflict.IDConflict()
}

// isRefusedBatch reports whether the log refused the batch.
func isRefusedBatch(err error) bool {
	var refused BatchRefusal
	return errors.As(err, &refused) && refused.BatchRefused()
}
