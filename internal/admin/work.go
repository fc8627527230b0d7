package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/operations/work"
)

// WorkList is the long work that runs, and the newest that has ended, in the order in which
// it began.
type WorkList struct {
	Items []lease.Work `json:"items"`
}

// OperationList is the operations of several steps that run, and those that wait to be
// resumed or undone.
type OperationList struct {
	Items []lease.Operation `json:"items"`
}

// CancelRequest names work.
type CancelRequest struct {
	ID string `json:"id"`
}

func (a *API) listWork(ctx context.Context, _ *call) (any, error) {
	all, err := a.Work.List(ctx)
	return WorkList{Items: append([]lease.Work{}, all...)}, err
}

func (a *API) getWork(ctx context.Context, c *call) (any, error) {
	all, err := a.Work.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.ID == c.text("id") {
			return one, nil
		}
	}
	return nil, lease.ErrNoWork
}

func (a *API) listOperations(ctx context.Context, _ *call) (any, error) {
	all, err := a.Operations(ctx)
	return OperationList{Items: append([]lease.Operation{}, all...)}, err
}

func (a *API) cancelWork(ctx context.Context, c *call) (any, error) {
	var request CancelRequest
	if err := c.body(&request); err != nil {
		return nil, err
	}
	return c.audited(ctx, request, func() (any, error) { return workOutcome(a.Work.Cancel(ctx, request.ID)) })
}

// begin returns the handler of a route that starts work of one kind.
func begin[Request any](start func(*work.Runner, Request, work.Caller) (lease.Work, error)) func(context.Context, *call) (any, error) {
	return func(ctx context.Context, c *call) (any, error) {
		var request Request
		if err := c.body(&request); err != nil {
			return nil, err
		}
		return c.audited(ctx, request, func() (any, error) {
			return workOutcome(start(c.api.Work, request, work.Caller{Role: string(c.role), Subject: c.subject, From: c.from()}))
		})
	}
}

// workOutcome returns the outcome of a change of work; nil if it was refused.
func workOutcome(changed lease.Work, err error) (any, error) {
	if changed.ID == "" {
		return nil, err
	}
	return changed, err
}

// workProblem returns the answer for an error of long work; nil for other errors.
func workProblem(err error) *problem {
	switch {
	case errors.Is(err, work.ErrInvalid), errors.Is(err, lease.ErrTooLarge):
		return refuse(http.StatusBadRequest, "invalid", "%v", err)
	case errors.Is(err, lease.ErrNoWork):
		return refuse(http.StatusNotFound, "not-found", "%v", err)
	case errors.Is(err, lease.ErrEnded):
		return refuse(http.StatusConflict, "ended", "%v", err)
	case errors.Is(err, lease.ErrRuns):
		return refuse(http.StatusConflict, "held", "%v", err)
	case errors.Is(err, lease.ErrBusy):
		return refuse(http.StatusTooManyRequests, "busy", "%v", err)
	}
	return nil
}

// NoteEnd notes in the audit trail what came of long work.
func (a *API) NoteEnd(ctx context.Context, ended lease.Work) {
	note := Note{
		ID: ended.ID, Stage: string(ended.State), At: time.Now().UTC(), Action: "/work",
		Target: map[string]string{"kind": ended.Kind, "target": ended.Target}, Outcome: noted(ended.Result),
		Error: ended.Error, Role: Role(ended.By), Subject: ended.Subject, From: ended.From, Gateway: ended.Gateway,
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if _, err := a.Trail.Add(ctx, auditSubject, note); err != nil {
		a.Logger.Error("the end of work is not in the audit trail", "kind", ended.Kind, "id", ended.ID, "err", err)
	}
}
