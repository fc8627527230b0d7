package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// process stores one delivery. It runs on the delivery's lane; when ctx ends
// before the log has taken it, the delivery is abandoned and counted.
func (i *Ingest) process(ctx context.Context, d delivery) {
	if err := i.store(ctx, d); err != nil {
		i.abandon(err)
	}
}

// abandon counts a delivery that was given up.
func (i *Ingest) abandon(err error) {
	i.metrics.abandoned.Inc()
	i.abandonedFor.Store(&err)
	i.abandoned.Add(1)
}

// store appends an accepted event and queues its receipt; one that the log
// refuses for good becomes a dead letter, and its producer gets a refusal.
func (i *Ingest) store(ctx context.Context, d delivery) error {
	receipt, err := i.appendDelivery(ctx, d)
	if rejection, ok := refusal(err); ok {
		i.bury(ctx, i.deadLetter(rejection, string(d.record.Body)), func() {
			if d.record.ID != "" {
				i.receipts.offerRefusal(messaging.Refusal{ID: d.record.ID, JobID: d.record.JobID, Reason: rejection.Reason})
			}
		})
		return nil
	}
	if err != nil {
		return err
	}
	i.metrics.stored(receipt.Duplicate)
	if d.record.ID != "" {
		i.receipts.offer(messaging.Receipt{
			ID:        d.record.ID,
			JobID:     d.record.JobID,
			Sequence:  receipt.Sequence,
			Duplicate: receipt.Duplicate,
		})
	}
	return nil
}

// appendDelivery gives the record its identity and appends it.
func (i *Ingest) appendDelivery(ctx context.Context, d delivery) (messaging.Receipt, error) {
	if d.record.ID != "" {
		d.record.MessageID = d.record.ID
		return i.log.Append(ctx, d.record)
	}

	baseline, err := i.baseline(ctx, d.via)
	if err != nil {
		return messaging.Receipt{}, err
	}
	id := i.identities.take(d.record.Body, time.Now())
	var stored uint64
	defer func() { i.identities.put(id, stored, time.Now()) }()
	floor := max(id.floor, baseline)
	for {
		d.record.MessageID = id.messageID()
		receipt, err := i.log.Append(ctx, d.record)
		if isConflict(err) {
			continue // a producer has used this name as an id: it is taken
		}
		if err != nil {
			return receipt, err
		}
		if receipt.Sequence <= floor {
			if receipt.Duplicate {
				continue // an earlier publish has this ordinal
			}
			i.identities.restart()
			d.via.restart()
		}
		stored = receipt.Sequence
		return receipt, nil
	}
}

// baseline returns the log's head from before a connection subscribed.
func (i *Ingest) baseline(ctx context.Context, c *connection) (uint64, error) {
	for {
		head, err := c.baseline(ctx, i.cfg.ConnectTimeout)
		if err == nil {
			return head, nil
		}
		if err := i.pause(ctx, "read the head of the log", err); err != nil {
			return 0, err
		}
	}
}

// pause counts a failed request and waits before the next attempt. It returns an
// error when there is none because ctx has ended.
func (i *Ingest) pause(ctx context.Context, attempted string, cause error) error {
	if ctx.Err() == nil {
		i.metrics.logFailures.Inc()
		i.failureLog.Do(func() {
			i.logger.Warn("a request to the log failed, will try again", "attempted", attempted, "error", cause)
		})
	}
	timer := time.NewTimer(i.cfg.RetryInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", attempted, context.Cause(ctx), cause)
	}
}

// refusal returns why the log will never take an event, if that is what err
// says.
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
