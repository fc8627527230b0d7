package inspect

import (
	"context"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

// Status is the log at one moment.
type Status struct {
	Epoch string `json:"epoch"`
	// First and Last are the oldest and the newest sequence of the events.
	First     uint64     `json:"first"`
	Last      uint64     `json:"last"`
	Streams   []Stream   `json:"streams"`
	Consumers []Consumer `json:"consumers"`
	// DeadLetters counts refused events by the reason.
	DeadLetters map[messaging.Reason]uint64 `json:"deadLetters"`
}

// Stream is one stream of the service. Limits are 0 where there is none.
type Stream struct {
	Name            string     `json:"name"`
	Messages        uint64     `json:"messages"`
	Deleted         int        `json:"deleted"`
	Bytes           uint64     `json:"bytes"`
	MaxBytes        int64      `json:"maxBytes"`
	MaxMessages     int64      `json:"maxMessages"`
	MaxAgeSeconds   float64    `json:"maxAgeSeconds"`
	FullPercent     float64    `json:"fullPercent"` // of MaxBytes
	WhenFull        string     `json:"whenFull"`    // refuses or drops-oldest
	DedupSeconds    float64    `json:"dedupSeconds"`
	First           uint64     `json:"first"`
	FirstAt         *time.Time `json:"firstAt,omitempty"`
	Last            uint64     `json:"last"`
	LastAt          *time.Time `json:"lastAt,omitempty"`
	Storage         string     `json:"storage"`
	Replicas        int        `json:"replicas"`
	Leader          string     `json:"leader,omitempty"`
	LaggingReplicas []string   `json:"laggingReplicas,omitempty"`
	CreatedAt       time.Time  `json:"createdAt"`
}

// Consumer is one reader of the events.
type Consumer struct {
	Name         string `json:"name"`
	Durable      bool   `json:"durable"`
	Delivered    uint64 `json:"delivered"`
	Acknowledged uint64 `json:"acknowledged"`
	// LagEvents counts what it has yet to acknowledge, and LagSeconds is the age of
	// the oldest of that.
	LagEvents   uint64  `json:"lagEvents"`
	LagSeconds  float64 `json:"lagSeconds"`
	InFlight    int     `json:"inFlight"`
	Redelivered int     `json:"redelivered"`
	Paused      bool    `json:"paused"`
	// NeverRan says that it is not there yet: all of the log is its lag.
	NeverRan bool `json:"neverRan,omitempty"`
}

// StatusLog is the log, as far as its status goes; eventstore.Log is one.
type StatusLog interface {
	State(ctx context.Context) (messaging.Extent, error)
	Streams(ctx context.Context) ([]maintain.StreamInfo, error)
	Consumers(ctx context.Context) ([]maintain.ConsumerInfo, error)
	DeadLetterCounts(ctx context.Context) (map[messaging.Reason]uint64, error)
}

// StatusOf asks the log. expected names the consumers that are listed also while they are
// not there. Its parts are asked one after the other, so that on a busy
// log they differ by what came in between.
func StatusOf(ctx context.Context, log StatusLog, expected ...string) (Status, error) {
	state, err := log.State(ctx)
	if err != nil {
		return Status{}, err
	}
	status := Status{Epoch: state.Epoch, First: state.First, Last: state.Last, Consumers: []Consumer{}}
	streams, err := log.Streams(ctx)
	if err != nil {
		return Status{}, err
	}
	for _, info := range streams {
		status.Streams = append(status.Streams, streamOf(info))
	}
	consumers, err := log.Consumers(ctx)
	if err != nil {
		return Status{}, err
	}
	for _, info := range consumers {
		status.Consumers = append(status.Consumers, consumerOf(info, time.Now()))
	}
	status.addMissing(expected, time.Now())
	status.DeadLetters, err = log.DeadLetterCounts(ctx)
	return status, err
}

// addMissing lists the expected consumers that are not there: they have read nothing.
func (s *Status) addMissing(expected []string, now time.Time) {
	for _, name := range expected {
		if slices.ContainsFunc(s.Consumers, func(c Consumer) bool { return c.Name == name }) {
			continue
		}
		missing := Consumer{Name: name, Durable: true, NeverRan: true}
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

func streamOf(info maintain.StreamInfo) Stream {
	s := Stream{
		Name: info.Name, Messages: info.Messages, Deleted: info.Deleted, Bytes: info.Bytes,
		MaxBytes: info.MaxBytes, MaxMessages: info.MaxMessages, MaxAgeSeconds: info.MaxAge.Seconds(), WhenFull: "drops-oldest",
		DedupSeconds: info.DuplicateWindow.Seconds(), First: info.First, Last: info.Last, Storage: info.Storage, Replicas: info.Replicas,
		Leader: info.Leader, LaggingReplicas: info.Lagging, CreatedAt: info.CreatedAt,
	}
	if info.RefusesWhenFull {
		s.WhenFull = "refuses"
	}
	if info.MaxBytes > 0 {
		s.FullPercent = 100 * float64(info.Bytes) / float64(info.MaxBytes)
	}
	if !info.FirstAt.IsZero() {
		s.FirstAt, s.LastAt = &info.FirstAt, &info.LastAt
	}
	return s
}

func consumerOf(info maintain.ConsumerInfo, now time.Time) Consumer {
	c := Consumer{
		Name: info.Name, Durable: info.Durable, Delivered: info.Delivered, Acknowledged: info.Acknowledged,
		LagEvents: info.Pending, InFlight: info.InFlight, Redelivered: info.Redelivered, Paused: info.Paused,
	}
	if !info.OldestPending.IsZero() {
		c.LagSeconds = max(now.Sub(info.OldestPending).Seconds(), 0)
	}
	return c
}
