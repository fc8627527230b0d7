package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/inspect"
)

// ProjectionList is the read models.
type ProjectionList struct {
	Items []Projection `json:"items"`
}

// Projection is one read model.
type Projection struct {
	Name string `json:"name"`
	// Lag counts the records that MongoDB does not have, LagSeconds is the age of the
	// oldest of them, and Floor the sequence up to which it has all.
	Lag        uint64  `json:"lag"`
	LagSeconds float64 `json:"lagSeconds"`
	Floor      uint64  `json:"floor"`
	Paused     bool    `json:"paused"`
	// NeverRan says that all of the log is its lag.
	NeverRan bool `json:"neverRan"`
}

func (a *API) listProjections(ctx context.Context, _ *call) (any, error) {
	list := ProjectionList{Items: []Projection{}}
	for _, name := range a.Projections {
		state, ran, err := a.Log.Behind(ctx, name)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, Projection{
			Name: name, Lag: state.Pending, LagSeconds: state.LagSeconds(), Floor: state.Floor, Paused: state.Paused, NeverRan: !ran,
		})
	}
	return list, nil
}

func (a *API) getLog(ctx context.Context, _ *call) (any, error) {
	return inspect.StatusOf(ctx, a.Log, a.Projections...)
}

// SettingList is the effective settings, passwords hidden.
type SettingList struct {
	Items []config.Setting `json:"items"`
}

func (a *API) listSettings(context.Context, *call) (any, error) {
	return SettingList{Items: a.Settings()}, nil
}

// AuditPage is a page of the audit trail.
type AuditPage struct {
	Items []AuditEntry `json:"items"`
	// Next is the after of the page of newer notes, and Before the before of the page of
	// older ones; 0 where there are none, and a page that they lead to may be empty.
	Next   uint64 `json:"next"`
	Before uint64 `json:"before"`
}

// AuditEntry is one note.
type AuditEntry struct {
	Number uint64          `json:"number"`
	Note   json.RawMessage `json:"note"`
}

func (a *API) listAudit(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	after, forwards := c.number("after")
	before, backwards := c.number("before")
	if forwards && backwards {
		return nil, errBothEnds
	}
	if backwards {
		return a.newestNotes(ctx, before, limit)
	}
	page := AuditPage{Items: []AuditEntry{}}
	size, full := 0, false // of the notes
	more, err := a.Trail.EachAfter(ctx, auditSubject, after, limit, func(number uint64, note []byte) {
		if full = size >= maxAnswerBytes; !full {
			size += len(note)
			page.Items = append(page.Items, AuditEntry{Number: number, Note: note})
		}
	})
	if len(page.Items) > 0 {
		if more || full {
			page.Next = page.Items[len(page.Items)-1].Number
		}
		if after > 0 {
			page.Before = page.Items[0].Number
		}
	}
	return page, err
}

// newestNotes returns the page of the newest notes before a number, 0 for the newest of
// all.
func (a *API) newestNotes(ctx context.Context, before uint64, limit int) (any, error) {
	page := AuditPage{Items: []AuditEntry{}}
	var kept newestRows[AuditEntry]
	older, err := a.Trail.EachBefore(ctx, auditSubject, before, limit, func(number uint64, note []byte) {
		kept.add(AuditEntry{Number: number, Note: note}, len(note))
	})
	if page.Items = append(page.Items, kept.rows...); len(page.Items) > 0 {
		if older || kept.cut {
			page.Before = page.Items[0].Number
		}
		if before > 0 {
			page.Next = page.Items[len(page.Items)-1].Number
		}
	}
	return page, err
}

// Receipt says where the log has an event. The intake writes it.
type Receipt struct {
	ID        string `json:"id,omitempty"`
	JobID     string `json:"jobId"`
	Sequence  uint64 `json:"sequence"`
	Duplicate bool   `json:"duplicate"`
}

// maxPublishedBytes bounds what is kept of a published event, to read its kind, and of the
// answer of the intake.
const maxPublishedBytes = 64 << 10

// kept is the beginning of what is written to it.
type kept struct{ bytes.Buffer }

// Write implements io.Writer. It drops what is beyond maxPublishedBytes.
func (k *kept) Write(text []byte) (int, error) {
	_, _ = k.Buffer.Write(text[:min(len(text), maxPublishedBytes-k.Len())]) // never fails
	return len(text), nil
}

// published takes the status and the beginning of the answer of the intake.
type published struct {
	http.ResponseWriter
	status int
	answer kept
}

// Write implements io.Writer.
func (p *published) Write(text []byte) (int, error) {
	_, _ = p.answer.Write(text) // never fails
	return p.ResponseWriter.Write(text)
}

// WriteHeader implements http.ResponseWriter.
func (p *published) WriteHeader(status int) {
	p.status = status
	p.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (p *published) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (a *API) publish(ctx context.Context, c *call) (any, error) {
	if a.Publish == nil {
		return nil, refuse(http.StatusServiceUnavailable, "no-ingest", "this process has no role ingest")
	}
	answered := false
	_, err := c.audited(ctx, nil, func() (any, error) {
		w := &published{ResponseWriter: c.w, status: http.StatusOK}
		answered = true
		var body kept
		c.request.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(c.request.Body, &body), c.request.Body}
		a.Publish.ServeHTTP(w, c.request)
		return w.outcome(body.Bytes())
	})
	if answered {
		return nil, nil
	}
	return nil, err
}

// publishNote is what the audit trail has of a published event.
type publishNote struct {
	Status   int    `json:"status"`
	Code     string `json:"code,omitempty"`
	JobID    string `json:"jobId,omitempty"`
	ID       string `json:"id,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
}

// outcome returns what is noted of an event, without its contents, and an error if it was
// refused.
func (p *published) outcome(body []byte) (any, error) {
	var note publishNote
	var answer struct {
		publishNote
		Message string `json:"message"`
	}
	// What cannot be read, or is longer than is kept, has no fields.
	_ = json.Unmarshal(body, &note)
	_ = json.Unmarshal(p.answer.Bytes(), &answer)
	note = publishNote{
		Status: p.status, Code: answer.Code, JobID: cmp.Or(answer.JobID, note.JobID), ID: cmp.Or(answer.ID, note.ID), Kind: note.Kind, Sequence: answer.Sequence,
	}
	if p.status >= http.StatusMultipleChoices {
		return note, refuse(p.status, answer.Code, "%s", answer.Message)
	}
	return note, nil
}
