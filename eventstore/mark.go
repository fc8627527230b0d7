package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// Mark is a high-water mark: the log has given out this sequence in this epoch.
type Mark struct {
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// At is when the log stored the record at Sequence, by its own clock; zero where
	// that is not known. It tells that record from another one that has been given
	// the same sequence since.
	At time.Time `json:"at,omitzero"`
}

// Keeper keeps a mark outside of the event stream, so that a log that has lost its
// tail is recognised. The methods are called from one goroutine.
type Keeper interface {
	// Name says where the mark is kept, for the log line about a lost tail.
	Name() string
	// Load returns the mark; found is false when there is none.
	Load(ctx context.Context) (mark Mark, found bool, err error)
	// Store replaces the mark.
	Store(ctx context.Context, mark Mark) error
}

// Witness is a [Keeper] that has more than its mark to tell how far the log went.
type Witness interface {
	// Beyond returns a sequence of the epoch of end that the log has given out after
	// end, which is where it ends now; 0 when none is known.
	Beyond(ctx context.Context, end Mark) (uint64, error)
}

// Doubter is a [Keeper] that can find out by itself that the log may lack what it has
// given out, without having a higher sequence to show for it.
type Doubter interface {
	// Doubt returns the reason, empty when there is none.
	Doubt() string
}

// streamKeeper keeps the mark in the identity stream.
type streamKeeper struct{ log *Log }

// Name implements [Keeper].
func (streamKeeper) Name() string { return "stream " + layout.IdentityStream }

// Load implements [Keeper].
func (k streamKeeper) Load(ctx context.Context) (mark Mark, found bool, err error) {
	stored, err := k.log.client.Leader(ctx, layout.IdentityStream, jet.Request{Last: markSubject})
	switch {
	case errors.Is(err, jet.ErrNotFound), jet.HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return Mark{}, false, nil
	case err != nil:
		return Mark{}, false, fmt.Errorf("read the mark in %s: %w", layout.IdentityStream, err)
	}
	if err := json.Unmarshal(stored.Body, &mark); err != nil {
		return Mark{}, false, nil // Not readable: the next Store replaces it.
	}
	return mark, true, nil
}

// Store implements [Keeper].
func (k streamKeeper) Store(ctx context.Context, mark Mark) error {
	payload, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.log.cfg.AckTimeout)
	defer cancel()
	_, err = k.log.client.JS.PublishMsg(ctx, &nats.Msg{Subject: markSubject, Data: payload}, jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("write the mark in %s: %w", layout.IdentityStream, err)
	}
	return nil
}
