package maintain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// Consumer is a consumer of the event stream as its leader describes it.
type Consumer struct {
	Name string `json:"name"`
	// Durable is false for a consumer that ends with its reader, such as the one with
	// which a gateway reads the ids of events.
	Durable bool `json:"durable"`
	// Delivered is the newest sequence that was delivered, and Acknowledged the sequence up
	// to which everything is acknowledged: Delivered, for a consumer without
	// acknowledgements.
	Delivered    uint64 `json:"delivered"`
	Acknowledged uint64 `json:"acknowledged"`
	// LagEvents counts the records that are not acknowledged, and LagSeconds is the age of
	// the oldest of them. InFlight counts those that were delivered, and Redelivered those
	// that were delivered more than once.
	LagEvents   uint64  `json:"lagEvents"`
	LagSeconds  float64 `json:"lagSeconds"`
	InFlight    int     `json:"inFlight"`
	Redelivered int     `json:"redelivered"`
	Paused      bool    `json:"paused"`
	// NeverRan is for a consumer that is expected and does not exist yet: its lag is the
	// whole log. [Log.Consumers] returns none.
	NeverRan bool `json:"neverRan,omitempty"`
}

// Streams returns the streams of the service, also those of its buckets.
func (l *Log) Streams(ctx context.Context) ([]eventstore.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	var streams []eventstore.Stream
	listed := l.client.JS.ListStreams(ctx)
	for info := range listed.Info() {
		if strings.HasPrefix(info.Config.Name, "NOVEL_") || strings.HasPrefix(info.Config.Name, "KV_NOVEL_") {
			streams = append(streams, eventstore.StreamOf(info))
		}
	}
	if err := listed.Err(); err != nil {
		return nil, fmt.Errorf("list the streams: %w", jet.Unavailable(err))
	}
	return streams, nil
}

// Consumers returns the consumers of the event stream.
func (l *Log) Consumers(ctx context.Context) ([]Consumer, error) {
	bounded, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(bounded, layout.EventStream)
	if err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", layout.EventStream, jet.Unavailable(err))
	}
	var consumers []Consumer
	listed := stream.ListConsumers(bounded)
	for info := range listed.Info() {
		c := Consumer{
			Name: info.Name, Durable: info.Config.Durable != "", Delivered: info.Delivered.Stream, Acknowledged: info.AckFloor.Stream,
			LagEvents: info.NumPending + uint64(info.NumAckPending), InFlight: info.NumAckPending, Redelivered: info.NumRedelivered,
			Paused: info.Paused,
		}
		if info.Config.AckPolicy == jetstream.AckNonePolicy {
			c.Acknowledged = c.Delivered
		}
		consumers = append(consumers, c)
	}
	if err := listed.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", layout.EventStream, jet.Unavailable(err))
	}
	for i := range consumers {
		if consumers[i].LagEvents == 0 {
			continue
		}
		oldest, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: consumers[i].Acknowledged + 1, Next: layout.EventPrefix + ">"})
		switch {
		case err == nil:
			consumers[i].LagSeconds = max(time.Since(oldest.At).Seconds(), 0)
		case !errors.Is(err, jet.ErrNotFound):
			return nil, fmt.Errorf("read the record after the floor of consumer %q: %w", consumers[i].Name, err)
		}
	}
	return consumers, nil
}

// DeadLetterCounts returns how many dead letters there are, by reason.
func (l *Log) DeadLetterCounts(ctx context.Context) (map[messaging.Reason]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(ctx, layout.DeadLetterStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return map[messaging.Reason]uint64{}, nil
	}
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(layout.DeadLetterPrefix+">"))
	}
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", jet.Unavailable(err))
	}
	counts := make(map[messaging.Reason]uint64, len(info.State.Subjects))
	for subject, count := range info.State.Subjects {
		counts[layout.LetterReason(subject)] += count
	}
	return counts, nil
}
