package eventstore

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// pendingConsumer has so many records to send, and sends none.
type pendingConsumer struct {
	jetstream.Consumer
	pending uint64
	asked   int
	err     error
}

func (c *pendingConsumer) Info(context.Context) (*jetstream.ConsumerInfo, error) {
	c.asked++
	return &jetstream.ConsumerInfo{NumPending: c.pending}, c.err
}

// TestSilentConsumerIsReplaced: one that is due records is not waited for without end,
// before all is loaded nor after.
func TestSilentConsumerIsReplaced(t *testing.T) {
	t.Parallel()
	for _, loaded := range []bool{false, true} {
		k := &KnownIDs{log: &Log{cfg: DefaultConfig()}, loaded: make(chan struct{})}
		if loaded {
			k.finish()
		}
		consumer := &pendingConsumer{pending: 3}
		rounds := 1
		for k.quiet(t.Context(), consumer, rounds) == nil {
			if rounds++; rounds > knownLook {
				t.Fatalf("loaded %t: waited for after %d rounds", loaded, rounds)
			}
		}
		if want := map[bool]int{false: stallRounds, true: knownLook}[loaded]; rounds != want {
			t.Errorf("loaded %t: replaced after %d rounds, want %d", loaded, rounds, want)
		}
		if loaded && consumer.asked != 1 {
			t.Errorf("asked %d times, want once", consumer.asked)
		}
	}
}

// TestQuietConsumer: one that has nothing to send is kept, and so is one that cannot be
// asked.
func TestQuietConsumer(t *testing.T) {
	t.Parallel()
	k := &KnownIDs{log: &Log{cfg: DefaultConfig()}, loaded: make(chan struct{})}
	for rounds := range 2 * knownLook {
		if err := k.quiet(t.Context(), &pendingConsumer{pending: 3, err: errors.New("no answer")}, rounds); err != nil || k.Loaded() {
			t.Fatalf("round %d without an answer: %v, loaded %t", rounds, err, k.Loaded())
		}
	}
	for rounds := range 2 * knownLook {
		if err := k.quiet(t.Context(), &pendingConsumer{}, rounds); err != nil || !k.Loaded() {
			t.Fatalf("round %d: %v, loaded %t", rounds, err, k.Loaded())
		}
	}
}
