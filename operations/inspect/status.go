package inspect

import (
	"context"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// Status is the log at one moment.
type Status struct {
	Epoch string `json:"epoch"`
	// First and Last are the oldest and the newest sequence of the events.
	First     uint64              `json:"first"`
	Last      uint64              `json:"last"`
	Streams   []eventstore.Stream `json:"streams"`
	Consumers []maintain.Consumer `json:"consumers"`
	// DeadLetters counts refused events by the reason.
	DeadLetters map[messaging.Reason]uint64 `json:"deadLetters"`
}

// StatusLog is what [StatusOf] needs of the log, which maintain.Log has.
type StatusLog interface {
	State(ctx context.Context) (messaging.Extent, error)
	Streams(ctx context.Context) ([]eventstore.Stream, error)
	Consumers(ctx context.Context) ([]maintain.Consumer, error)
	DeadLetterCounts(ctx context.Context) (map[messaging.Reason]uint64, error)
}

// StatusOf asks the log for its status. expected names the consumers that are listed also
// while they do not exist. StatusOf asks for one part after the other: on a busy log, a later
// part may contain events that an earlier one does not.
func StatusOf(ctx context.Context, log StatusLog, expected ...string) (Status, error) {
	state, err := log.State(ctx)
	if err != nil {
		return Status{}, err
	}
	status := Status{Epoch: state.Epoch, First: state.First, Last: state.Last, Consumers: []maintain.Consumer{}}
	if status.Streams, err = log.Streams(ctx); err != nil {
		return Status{}, err
	}
	consumers, err := log.Consumers(ctx)
	if err != nil {
		return Status{}, err
	}
	status.Consumers = append(status.Consumers, consumers...)
	status.addMissing(expected, time.Now())
	status.DeadLetters, err = log.DeadLetterCounts(ctx)
	return status, err
}

// addMissing adds the expected consumers that do not exist: they have read nothing.
func (s *Status) addMissing(expected []string, now time.Time) {
	for _, name := range expected {
		if slices.ContainsFunc(s.Consumers, func(c maintain.Consumer) bool { return c.Name == name }) {
			continue
		}
		missing := maintain.Consumer{Name: name, Durable: true, NeverRan: true}
		for _, stream := range s.Streams {
			if stream.Name != archive.Streams()[0] {
				continue
			}
			missing.LagEvents = stream.Messages
			if stream.FirstAt != nil {
				missing.LagSeconds = max(now.Sub(*stream.FirstAt).Seconds(), 0)
			}
		}
		s.Consumers = append(s.Consumers, missing)
	}
}
