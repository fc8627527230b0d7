package admin

import (
	"context"
	"encoding/json"
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

// published takes the status of the answer of the intake.
type published struct {
	http.ResponseWriter
	status int
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
		a.Publish.ServeHTTP(w, c.request)
		return map[string]int{"status": w.status}, nil
	})
	if answered {
		return nil, nil
	}
	return nil, err
}
