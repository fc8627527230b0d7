package admin

import (
	"context"
	"slices"

	"github.com/letswriteabook/realtime/fanout/recorder"
)

// StageList is what the processes have recorded of the events of a job, oldest first.
type StageList struct {
	Coverage
	Items []EventStage `json:"items"`
}

// EventStage is a stage that an event has passed in one process.
type EventStage struct {
	Gateway string `json:"gateway"`
	recorder.Note
}

func (a *API) listStages(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	query := recorder.Query{JobID: c.text("jobId"), ID: c.text("id"), Limit: limit}
	query.Sequence, _ = c.number("sequence")
	query.Epoch = c.text("epoch")
	if err := checkSelection(query.JobID, query.ID, query.Epoch); err != nil {
		return nil, err
	}
	found, coverage, err := askAll[[]recorder.Note](ctx, a, recorder.QuestionNotes, query)
	if err != nil {
		return nil, err
	}
	list := StageList{Coverage: coverage, Items: []EventStage{}}
	for i, notes := range found {
		for _, note := range notes {
			list.Items = append(list.Items, EventStage{coverage.Gateways[i], note})
		}
	}
	slices.SortStableFunc(list.Items, func(a, b EventStage) int { return a.At.Compare(b.At) })
	return list, nil
}
