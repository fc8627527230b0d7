package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// Description is a stream as the server has it, for those who judge its settings.
type Description struct {
	Name     string
	Replicas int
	// Leader is false for a cluster without one; Behind counts the other replicas that
	// are offline or not up with it.
	Leader bool
	Behind int
	// MaxBytes is 0 without a bound.
	MaxBytes, Bytes uint64
	MaxAge          time.Duration
	DuplicateWindow time.Duration
	DiscardsOld     bool
	Direct          bool
	Republishes     bool
	File            bool
	// At is what the server's clock said.
	At time.Time

	config jetstream.StreamConfig
}

// Flaws returns what is wrong with the settings of a stream of the log. The event stream
// has to take events of maxEventBytes.
func (d Description) Flaws(maxEventBytes int) []Flaw {
	if d.Name == layout.EventStream {
		return flawsOf(d.config, streams.NeedOfEvents(maxEventBytes))
	}
	return flawsOf(d.config, streams.Beside[d.Name])
}

// Flawed returns nil, or an error that names what is wrong with the settings of a stream
// beside the event stream, and what to do.
func (d Description) Flawed() error {
	return besideError(d.Name, editedBeside(d.Name, d.config))
}

// Describe asks the server for a stream of a domain, without opening the log. It returns [ErrNoStream] when there is none.
func Describe(ctx context.Context, conn *nats.Conn, domain, stream string) (Description, error) {
	client, err := jet.New(conn, domain)
	if err != nil {
		return Description{}, err
	}
	found, err := client.JS.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Description{}, fmt.Errorf("describe stream %s: %w", stream, ErrNoStream)
	}
	if err != nil {
		return Description{}, fmt.Errorf("describe stream %s: %w", stream, jet.Unavailable(err))
	}
	info := found.CachedInfo()
	described := Description{
		Name: stream, Replicas: info.Config.Replicas, Leader: info.Cluster == nil || info.Cluster.Leader != "",
		MaxBytes: uint64(max(info.Config.MaxBytes, 0)), Bytes: info.State.Bytes,
		MaxAge: info.Config.MaxAge, DuplicateWindow: info.Config.Duplicates,
		DiscardsOld: info.Config.Discard == jetstream.DiscardOld, Direct: info.Config.AllowDirect,
		Republishes: info.Config.RePublish != nil, File: info.Config.Storage == jetstream.FileStorage, At: info.TimeStamp, config: info.Config,
	}
	if info.Cluster != nil {
		for _, peer := range info.Cluster.Replicas {
			if peer.Offline || !peer.Current {
				described.Behind++
			}
		}
	}
	return described, nil
}
