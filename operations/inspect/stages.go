package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/messaging"
)

// Stage is a stage that an event has passed in one process.
type Stage struct {
	Gateway string `json:"gateway"`
	recorder.Note
}

// Delivery reports whether the process offered the event to its live clients then.
func (s Stage) Delivery() bool { return s.Stage == recorder.StageDelivered }

// stages returns what the processes have recorded of a record, oldest first, at most
// recorder.MaxNotes of each. unasked counts the processes that may have more.
func stages(ctx context.Context, log Log, record messaging.Record) (found []Stage, unasked int, err error) {
	args, err := json.Marshal(recorder.Query{JobID: record.JobID, ID: record.ID, Sequence: record.Sequence, Epoch: record.Epoch, Limit: recorder.MaxNotes})
	if err != nil {
		return nil, 0, fmt.Errorf("ask the gateways for stages: %w", err)
	}
	answers, err := log.AskGateways(ctx, gateways.Question{Kind: recorder.QuestionNotes, Args: args})
	if err != nil {
		return nil, 0, err
	}
	found, unasked = []Stage{}, len(answers.Missing)
	for _, answer := range answers.Items {
		var notes []recorder.Note
		if answer.Err != "" || json.Unmarshal(answer.Body, &notes) != nil {
			unasked++
			continue
		}
		if answer.Cut {
			unasked++
		}
		for _, note := range notes {
			// Another id at the sequence is that of an event of an earlier epoch, and another
			// sequence with the id that of a replay into the log.
			if (note.ID == "" || note.ID == record.ID) && (note.Sequence == 0 || note.Sequence == record.Sequence) {
				found = append(found, Stage{answer.Gateway, note})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Stage) int { return a.At.Compare(b.At) })
	return found, unasked, nil
}
