package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/letswriteabook/realtime/internal/caller"
)

// Note is what the audit trail has of a change over the API.
type Note struct {
	// ID is the same in the notes of one change, and Stage begun, done or failed. The end of
	// long work has a note of its own, with the action /work, the id of the work, and
	// its state as the stage.
	ID    string    `json:"id"`
	Stage string    `json:"stage"`
	At    time.Time `json:"at"`
	// Action is the path of the route, Target what it was asked of, and Outcome what came
	// of it, also of one that failed half-way. Error says why it failed.
	Action  string `json:"action"`
	Target  any    `json:"target,omitempty"`
	Outcome any    `json:"outcome,omitempty"`
	Error   string `json:"error,omitempty"`
	// Role, Subject and From say who asked: the role and the subject of the token, and the
	// address. INTERNAL_TOKEN has no subject.
	Role    Role   `json:"role"`
	Subject string `json:"subject,omitempty"`
	From    string `json:"from"`
	// Gateway is the process that made the change.
	Gateway string `json:"gateway,omitempty"`
}

// auditSubject is where the notes of changes over the API stand.
const auditSubject = "novel.audit.admin"

// The bounds of a note, whose trail is never shortened.
const (
	// maxNotedBytes bounds the target and the outcome in a note, as JSON.
	maxNotedBytes = 16 << 10
	maxErrorBytes = 1 << 10
)

// brief is an answer of which a note has a summary.
type brief interface{ summary() any }

// audited notes a change, makes it, and notes what came of it. A change that cannot be
// noted is not made. The second note is written also when the request has ended.
func (c *call) audited(ctx context.Context, target any, change func() (any, error)) (any, error) {
	if size, err := sizeOf(target); err != nil || size > maxNotedBytes {
		return nil, refuse(http.StatusBadRequest, "invalid", "the request has %d bytes, and the audit trail takes %d at most", size, maxNotedBytes)
	}
	note := Note{ID: rand.Text(), Stage: "begun", At: time.Now().UTC(), Action: c.action, Target: target, Role: c.role, Subject: c.subject, From: c.from(), Gateway: c.api.Gateway}
	if _, err := c.api.Trail.Add(ctx, auditSubject, note); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	outcome, err := change()
	note.Stage, note.At, note.Outcome = "done", time.Now().UTC(), noted(outcome)
	if err != nil {
		text := err.Error()
		note.Stage, note.Error = "failed", text[:min(len(text), maxErrorBytes)]
	}
	if _, err := c.api.Trail.Add(context.WithoutCancel(ctx), auditSubject, note); err != nil {
		c.api.Logger.Error("the end of a change is not in the audit trail", "action", c.action, "id", note.ID, "err", err)
	}
	return outcome, err
}

// from returns the address of who asks.
func (c *call) from() string { return caller.Host(c.request.RemoteAddr) }

// noted returns what a note has of an outcome: its summary if it has one, and of one that is
// too large only its size.
func noted(outcome any) any {
	if long, ok := outcome.(brief); ok {
		outcome = long.summary()
	}
	size, err := sizeOf(outcome)
	if err != nil || size > maxNotedBytes {
		return map[string]int{"omittedBytes": size}
	}
	return outcome
}

// sizeOf returns how many bytes a value has as JSON.
func sizeOf(value any) (int, error) {
	text, err := json.Marshal(value)
	return len(text), err
}
