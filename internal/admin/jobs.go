package admin

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// JobPage is a page of jobs.
type JobPage struct {
	Items []maintain.JobSize `json:"items"`
	// Next is the after of the next page; empty on the last one.
	Next string `json:"next,omitempty"`
	// Partial says that the log has more jobs than were looked at.
	Partial bool `json:"partial"`
}

func (a *API) listJobs(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	found, more, partial, err := a.Log.Jobs(ctx, c.text("prefix"), c.text("after"), limit)
	if err != nil {
		return nil, err
	}
	page := JobPage{Items: append([]maintain.JobSize{}, found...), Partial: partial}
	if more {
		page.Next = found[len(found)-1].JobID
	}
	return page, nil
}

// Job is one job.
type Job struct {
	JobID string `json:"jobId"`
	Epoch string `json:"epoch"`
	// Newest is the newest event, nil when the log has none.
	Newest *Event `json:"newest"`
	// Followers counts the subscriptions of the gateways that answered.
	Followers int `json:"followers"`
	Gateways  int `json:"gateways"`
}

// Event is one event as the log has it.
type Event struct {
	Sequence  uint64    `json:"sequence"`
	Epoch     string    `json:"epoch"`
	Kind      string    `json:"kind"`
	ID        string    `json:"id,omitempty"`
	EmittedAt string    `json:"emittedAt"`
	StoredAt  time.Time `json:"storedAt"`
	// Envelope is what was published; null for bytes that are no JSON.
	Envelope json.RawMessage `json:"envelope"`
}

func eventOf(record messaging.Record) Event {
	event := Event{
		Sequence: record.Sequence, Epoch: record.Epoch, Kind: string(record.Kind), ID: record.ID,
		EmittedAt: record.EmittedAt, StoredAt: record.StoredAt, Envelope: record.Body,
	}
	if !json.Valid(record.Body) {
		event.Envelope = nil
	}
	return event
}

func (a *API) getJob(ctx context.Context, c *call) (any, error) {
	job := Job{JobID: c.text("jobId"), Epoch: a.Log.Epoch()}
	newest, _, err := a.newest(ctx, job.JobID, math.MaxUint64, 1)
	if err != nil {
		return nil, err
	}
	if len(newest) > 0 {
		job.Newest = &newest[0]
	}
	job.Gateways, job.Followers, err = a.Log.AskFollowers(ctx, job.JobID)
	return job, err
}

// EventPage is a page of events.
type EventPage struct {
	Items []Event `json:"items"`
	// After and Before are the parameters of the pages of newer and of older events. An empty
	// page has neither, and Before is 0 where there are no older events.
	After  uint64 `json:"after"`
	Before uint64 `json:"before"`
}

func (a *API) listEvents(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	after, forwards := c.number("after")
	before, backwards := c.number("before")
	page, older := EventPage{Items: []Event{}}, forwards
	switch {
	case forwards && backwards:
		return nil, errBothEnds
	case forwards:
		// The log ends a page at 1 MiB of bodies.
		records, err := a.Log.ReadAfter(ctx, c.text("jobId"), after, limit)
		if err != nil {
			return nil, err
		}
		for _, record := range records {
			page.Items = append(page.Items, eventOf(record))
		}
	default:
		if !backwards {
			before = math.MaxUint64
		}
		if page.Items, older, err = a.newest(ctx, c.text("jobId"), before, limit); err != nil {
			return nil, err
		}
	}
	if len(page.Items) > 0 {
		page.After = page.Items[len(page.Items)-1].Sequence
		if older {
			page.Before = page.Items[0].Sequence
		}
	}
	return page, nil
}

// newest returns at most limit events of a job before a sequence, oldest first, and whether
// there are older ones. Their bodies come to maxAnswerBytes and one body at most: the
// oldest ones are left out.
func (a *API) newest(ctx context.Context, jobID string, before uint64, limit int) (events []Event, older bool, err error) {
	span, err := a.Log.Locate(ctx, jobID, before, limit)
	if err != nil || span.First == 0 {
		return []Event{}, false, err
	}
	var kept newestRows[Event]
	err = a.Log.ScanJob(ctx, jobID, span.First, span.Last, func(record messaging.Record) error {
		event := eventOf(record)
		kept.add(event, len(event.Envelope))
		return nil
	})
	return append([]Event{}, kept.rows...), kept.cut || span.Older, err
}
