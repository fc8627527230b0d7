package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/messaging"
)

// subscribe answers a subscribe request with novel.subscribed; the catch-up and live events
// follow. It does not block: the reader does the catch-up.
//
// If the socket follows the job already, there is no second catch-up, unless the request
// names a position to resume from. A job that was restored with the session is at the right
// position already.
func (c *client) subscribe(args []json.RawMessage, ack socketio.Ack) {
	jobID, from, problem := c.parseSubscribe(args)
	if problem == nil {
		c.touch()
		problem = c.follow(jobID, from)
	}
	if problem != nil {
		c.refuse(*problem, ack)
		return
	}
	if ack != nil {
		_ = ack(struct {
			OK    bool   `json:"ok"`
			JobID string `json:"jobId"`
			Epoch string `json:"epoch,omitempty"`
		}{true, jobID, c.gateway.hub.Epoch()})
	}
}

// follow makes the job one of the socket's subscriptions.
func (c *client) follow(jobID string, from hub.Start) *messaging.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	if decision := c.grant.Follow(jobID); !decision.Allowed() {
		problem := problemOf(decision, jobID)
		return &problem
	}
	existing := c.subscriptions.get(jobID)
	if existing == nil {
		decision := c.gateway.limits.Load().Subscribe(c.subscriptions.count())
		if !decision.Allowed() {
			problem := problemOf(decision, jobID)
			return &problem
		}
		c.gateway.count(decision, c.slot.Origin()) // in a dry run
	}
	if existing != nil && from.Resume && !existing.restored {
		// End the existing subscription first, so that all events after the answer are of
		// the new one.
		c.drop(jobID, existing)
		existing = nil
	}
	epoch := c.gateway.hub.Epoch()
	c.sink.expect(jobID, epoch)
	c.sink.Send(messaging.EventSubscribed, messaging.Subscribed{JobID: jobID, SubscribedAt: messaging.FormatTime(time.Now()), Epoch: epoch})
	if existing != nil {
		existing.restored = false
		existing.subscription.Affirm()
		return nil
	}
	sub, err := c.reader.Subscribe(jobID, from)
	if err != nil {
		problem := messaging.NewProblem(messaging.CodeInternal)
		return &problem
	}
	c.subscriptions.set(jobID, newFollow(jobID, sub, from, false))
	c.save()
	return nil
}

// drop ends one of the socket's subscriptions. The mutex is held.
func (c *client) drop(jobID string, followed *follow) {
	c.subscriptions.remove(jobID)
	followed.subscription.End()
	c.sink.forget(jobID)
}

// unsubscribe answers an unsubscribe request, also if the socket does not follow the job.
func (c *client) unsubscribe(args []json.RawMessage, ack socketio.Ack) {
	jobID, problem := parseJobID(object(args))
	if problem != nil {
		if problem.Code == messaging.CodeJobIDRequired {
			problem.Message = messaging.MessageJobIDRequiredToUnsubscribe
		}
		c.refuse(*problem, ack)
		return
	}
	c.touch()
	c.mu.Lock()
	if followed := c.subscriptions.get(jobID); followed != nil {
		c.drop(jobID, followed)
		c.save()
	}
	c.mu.Unlock()
	c.sink.Send(messaging.EventUnsubscribed, messaging.Unsubscribed{JobID: jobID, UnsubscribedAt: messaging.FormatTime(time.Now())})
	if ack != nil {
		_ = ack(struct {
			OK    bool   `json:"ok"`
			JobID string `json:"jobId"`
		}{true, jobID})
	}
}

// refuse answers a request with the reason of its refusal. The socket stays open.
func (c *client) refuse(problem messaging.Problem, ack socketio.Ack) {
	c.gateway.refused.WithLabelValues(string(problem.Code), "false").Inc()
	c.sink.trail.Note(messaging.EventError, problem.JobID, string(problem.Code))
	c.emit(messaging.EventError, problem)
	acknowledge(ack, failure{Problem: problem})
}

// parseSubscribe reads {jobId, since?, epoch?}. since is a position, "epoch:sequence", or a
// sequence. The epoch, in since or separate, shows whether the sequence is of an earlier
// epoch of the log.
func (c *client) parseSubscribe(args []json.RawMessage) (string, hub.Start, *messaging.Problem) {
	from := c.gateway.freshStart()
	fields := object(args)
	jobID, problem := parseJobID(fields)
	if problem != nil {
		return "", from, problem
	}
	since, found := fields["since"]
	if !found || bytes.Equal(since, []byte("null")) {
		return jobID, from, nil
	}
	position, err := parseSince(since)
	if position.Epoch == "" {
		// An epoch that is not a string is ignored, because the epoch is optional.
		_ = json.Unmarshal(fields["epoch"], &position.Epoch)
	}
	if err != nil || len(position.Epoch) > messaging.MaxEpochBytes {
		problem := messaging.NewProblem(messaging.CodeSinceInvalid)
		problem.JobID = jobID
		return "", from, &problem
	}
	from.Resume, from.Position = true, position
	return jobID, from, nil
}

// freshStart returns the start of a subscription without a position.
func (g *Gateway) freshStart() hub.Start {
	return hub.Start{Limit: g.policy.CatchUpLimit, Asked: time.Now()}
}

// object returns the fields of the first argument, or nil if that is not an object.
func object(args []json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if len(args) > 0 {
		_ = json.Unmarshal(args[0], &fields)
	}
	return fields
}

func parseJobID(fields map[string]json.RawMessage) (string, *messaging.Problem) {
	var jobID string
	if raw := fields["jobId"]; raw != nil && json.Unmarshal(raw, &jobID) != nil {
		return "", &messaging.Problem{Code: messaging.CodeJobIDInvalid, Message: messaging.MessageJobIDNoString}
	}
	jobID = messaging.TrimJobID(jobID)
	return jobID, checkJobID(jobID)
}

// checkJobID returns the problem of an invalid jobId, or nil.
func checkJobID(jobID string) *messaging.Problem {
	var invalid *messaging.JobIDError
	if !errors.As(messaging.ValidateJobID(jobID), &invalid) {
		return nil
	}
	problem := messaging.NewProblem(invalid.Code)
	return &problem
}

// parseSince reads a position as JSON: a sequence as a number, or the text that
// [messaging.ParsePosition] reads.
func parseSince(raw json.RawMessage) (messaging.Position, error) {
	text := string(raw)
	if len(text) > 1 && text[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return messaging.Position{}, err
		}
	}
	return messaging.ParsePosition(text)
}
