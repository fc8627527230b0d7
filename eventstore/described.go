package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Described is a stream as the server has it, for those who judge its settings.
type Described struct {
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
func (d Described) Flaws(maxEventBytes int) []Flaw {
	if d.Name == eventStream {
		return flawsOf(d.config, needOfEvents(maxEventBytes))
	}
	return flawsOf(d.config, needs[d.Name])
}

// Flawed returns nil, or an error that names what is wrong with the settings of a stream
// beside the event stream, and what to do.
func (d Described) Flawed() error { return besideError(d.Name, flawsOf(d.config, needs[d.Name])) }

// Describe asks for a stream. It returns [ErrNoStream] when there is none.
func (a *Archive) Describe(ctx context.Context, stream string) (Described, error) {
	found, err := a.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Described{}, fmt.Errorf("describe stream %s: %w", stream, ErrNoStream)
	}
	if err != nil {
		return Described{}, fmt.Errorf("describe stream %s: %w", stream, unavailable(err))
	}
	info := found.CachedInfo()
	described := Described{
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
