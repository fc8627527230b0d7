package maintain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// StreamInfo is a stream of the service as its leader describes it. Sizes are in
// bytes on disk, or in memory.
type StreamInfo struct {
	Name string
	// Messages and Bytes are what it holds; Deleted counts holes in between.
	Messages, Bytes uint64
	Deleted         int
	// First and Last are the oldest and the newest sequence, FirstAt and LastAt when
	// those were stored; zero times in an empty stream.
	First, Last     uint64
	FirstAt, LastAt time.Time
	// MaxBytes, MaxMessages and MaxAge are its limits, 0 where there is none.
	// RefusesWhenFull says that it refuses what is new then, rather than drop what
	// is old.
	MaxBytes, MaxMessages int64
	MaxAge                time.Duration
	RefusesWhenFull       bool
	// DuplicateWindow is for how long message ids are remembered.
	DuplicateWindow time.Duration
	Storage         string
	Replicas        int
	// Leader is the server that leads it, empty outside a cluster; Lagging are the
	// replicas that are not level with it.
	Leader    string
	Lagging   []string
	Consumers int
	CreatedAt time.Time
}

// ConsumerInfo is a consumer of the event stream as its leader describes it.
type ConsumerInfo struct {
	Name string
	// Durable is false for one that ends with its reader, as a gateway has for the
	// ids of events.
	Durable bool
	// Delivered is the newest sequence that it has handed out, and Acknowledged the
	// one up to which everything has been acknowledged, of one that is not durable
	// Delivered again.
	Delivered, Acknowledged uint64
	// Pending counts the records that are yet to be acknowledged; InFlight those of
	// them that were handed out, and Redelivered those that were so more than once.
	Pending     uint64
	InFlight    int
	Redelivered int
	// OldestPending is when the log took the first of them, zero without any.
	OldestPending time.Time
	Paused        bool
}

// Streams returns the streams of the service and what stands behind its buckets.
func (l *Log) Streams(ctx context.Context) ([]StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	var streams []StreamInfo
	listed := l.client.JS.ListStreams(ctx)
	for info := range listed.Info() {
		if strings.HasPrefix(info.Config.Name, "NOVEL_") || strings.HasPrefix(info.Config.Name, "KV_NOVEL_") {
			streams = append(streams, streamInfo(info))
		}
	}
	if err := listed.Err(); err != nil {
		return nil, fmt.Errorf("list the streams: %w", jet.Unavailable(err))
	}
	return streams, nil
}

func streamInfo(info *jetstream.StreamInfo) StreamInfo {
	s := StreamInfo{
		Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, Deleted: info.State.NumDeleted,
		First: info.State.FirstSeq, Last: info.State.LastSeq,
		MaxBytes: max(info.Config.MaxBytes, 0), MaxMessages: max(info.Config.MaxMsgs, 0), MaxAge: info.Config.MaxAge,
		RefusesWhenFull: info.Config.Discard == jetstream.DiscardNew, DuplicateWindow: info.Config.Duplicates,
		Storage: strings.ToLower(info.Config.Storage.String()), Replicas: info.Config.Replicas,
		Consumers: info.State.Consumers, CreatedAt: info.Created.UTC(),
	}
	if info.State.Msgs > 0 {
		s.FirstAt, s.LastAt = info.State.FirstTime.UTC(), info.State.LastTime.UTC()
	}
	if info.Cluster == nil {
		return s
	}
	s.Leader = info.Cluster.Leader
	for _, replica := range info.Cluster.Replicas {
		if !replica.Current || replica.Offline {
			s.Lagging = append(s.Lagging, replica.Name)
		}
	}
	return s
}

// Consumers returns the consumers of the event stream.
func (l *Log) Consumers(ctx context.Context) ([]ConsumerInfo, error) {
	bounded, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(bounded, layout.EventStream)
	if err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", layout.EventStream, jet.Unavailable(err))
	}
	var consumers []ConsumerInfo
	listed := stream.ListConsumers(bounded)
	for info := range listed.Info() {
		c := ConsumerInfo{
			Name: info.Name, Durable: info.Config.Durable != "", Delivered: info.Delivered.Stream, Acknowledged: info.AckFloor.Stream,
			Pending: info.NumPending + uint64(info.NumAckPending), InFlight: info.NumAckPending, Redelivered: info.NumRedelivered,
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
		if consumers[i].Pending == 0 {
			continue
		}
		oldest, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: consumers[i].Acknowledged + 1, Next: layout.EventPrefix + ">"})
		switch {
		case err == nil:
			consumers[i].OldestPending = oldest.At
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
