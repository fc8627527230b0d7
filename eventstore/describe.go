package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// Stream is a stream of the service as its leader describes it: what the log itself,
// operators and the doctor use. Sizes are in bytes, and limits are 0 where there is none.
type Stream struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	// Deleted counts the removed messages between the first and the last one.
	Deleted       int     `json:"deleted"`
	Bytes         uint64  `json:"bytes"`
	MaxBytes      int64   `json:"maxBytes"`
	MaxMessages   int64   `json:"maxMessages"`
	MaxAgeSeconds float64 `json:"maxAgeSeconds"`
	FullPercent   float64 `json:"fullPercent"` // of MaxBytes
	WhenFull      string  `json:"whenFull"`    // refuses or drops-oldest
	// DedupSeconds is how long the stream remembers the ids of messages.
	DedupSeconds float64 `json:"dedupSeconds"`
	// First and Last are the oldest and the newest sequence. FirstAt and LastAt are when
	// those messages were stored, nil in an empty stream.
	First    uint64     `json:"first"`
	FirstAt  *time.Time `json:"firstAt,omitempty"`
	Last     uint64     `json:"last"`
	LastAt   *time.Time `json:"lastAt,omitempty"`
	Storage  string     `json:"storage"` // file or memory
	Replicas int        `json:"replicas"`
	// Leader is the server that leads the stream, empty outside a cluster and while none
	// does.
	Leader string `json:"leader,omitempty"`
	// LaggingReplicas are the replicas that are offline or behind the leader.
	LaggingReplicas []string  `json:"laggingReplicas,omitempty"`
	CreatedAt       time.Time `json:"createdAt"`

	info *jetstream.StreamInfo
}

// StreamOf returns a stream from the answer of the server.
func StreamOf(info *jetstream.StreamInfo) Stream {
	s := Stream{
		Name: info.Config.Name, Messages: info.State.Msgs, Deleted: info.State.NumDeleted, Bytes: info.State.Bytes,
		MaxBytes: max(info.Config.MaxBytes, 0), MaxMessages: max(info.Config.MaxMsgs, 0), MaxAgeSeconds: info.Config.MaxAge.Seconds(),
		WhenFull: "drops-oldest", DedupSeconds: info.Config.Duplicates.Seconds(), First: info.State.FirstSeq, Last: info.State.LastSeq,
		Storage: strings.ToLower(info.Config.Storage.String()), Replicas: info.Config.Replicas, CreatedAt: info.Created.UTC(), info: info,
	}
	if info.Config.Discard == jetstream.DiscardNew {
		s.WhenFull = "refuses"
	}
	if s.MaxBytes > 0 {
		s.FullPercent = 100 * float64(s.Bytes) / float64(s.MaxBytes)
	}
	if s.Messages > 0 {
		first, last := info.State.FirstTime.UTC(), info.State.LastTime.UTC()
		s.FirstAt, s.LastAt = &first, &last
	}
	if info.Cluster == nil {
		return s
	}
	s.Leader = info.Cluster.Leader
	for _, replica := range info.Cluster.Replicas {
		if replica.Offline || !replica.Current {
			s.LaggingReplicas = append(s.LaggingReplicas, replica.Name)
		}
	}
	return s
}

// Settings returns the settings that the users of the stream choose.
func (s Stream) Settings() Settings { return *settingsOf(s.info) }

// Led reports whether the stream has a leader, as each stream outside a cluster has.
func (s Stream) Led() bool { return s.info.Cluster == nil || s.Leader != "" }

// At returns the time of the server's clock when it answered, zero for servers that send
// none.
func (s Stream) At() time.Time { return s.info.TimeStamp }

// Flaws returns what is wrong with the settings of a stream of the log. The event stream
// has to take events of maxEventBytes.
func (s Stream) Flaws(maxEventBytes int) []Flaw {
	if s.Name == layout.EventStream {
		return flawsOf(s.info.Config, streams.NeedOfEvents(maxEventBytes))
	}
	return flawsOf(s.info.Config, streams.Beside[s.Name])
}

// Flawed returns nil, or an error that names what is wrong with the settings of a stream
// beside the event stream, and what to do.
func (s Stream) Flawed() error {
	return besideError(s.Name, editedBeside(s.Name, s.info.Config))
}

// Describe asks the server for a stream of a domain, without opening the log. It returns
// [ErrNoStream] if the server has no such stream.
func Describe(ctx context.Context, conn *nats.Conn, domain, stream string) (Stream, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return Stream{}, err
	}
	found, err := client.JS.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Stream{}, fmt.Errorf("describe stream %s: %w", stream, ErrNoStream)
	}
	if err != nil {
		return Stream{}, fmt.Errorf("describe stream %s: %w", stream, jet.Unavailable(err))
	}
	return StreamOf(found.CachedInfo()), nil
}
