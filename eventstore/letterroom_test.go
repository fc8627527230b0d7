package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// A flood of large junk leaves the letters of another reason where they are, and
// the newest of its own.
func TestFloodOfOneReasonKeepsTheOthers(t *testing.T) {
	t.Parallel()
	const genuine, junk = 20, 60
	b := setup(t, func(c *eventstore.Config) { c.DeadLetterMaxBytes = 8 << 20 })
	store := func(reason messaging.Reason, body []byte) {
		t.Helper()
		letter := messaging.DeadLetter{Reason: reason, Source: "redis:test", At: time.Now(), Body: body}
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	for n := range genuine {
		store(messaging.ReasonSchemaViolation, fmt.Appendf(nil, `{"jobId":"job","n":%d}`, n))
	}
	for n := range junk { // 30 MB in all
		store(messaging.ReasonInvalidJSON, append(fmt.Appendf(nil, "junk %d ", n), bytes.Repeat([]byte("x"), 512<<10)...))
	}
	letters := b.allLetters(t)
	kept := map[messaging.Reason]int{}
	for _, letter := range letters {
		kept[letter.Reason]++
	}
	if kept[messaging.ReasonSchemaViolation] != genuine {
		t.Errorf("%d of %d letters of the other reason are left", kept[messaging.ReasonSchemaViolation], genuine)
	}
	newest := fmt.Sprintf("junk %d ", junk-1)
	if n := kept[messaging.ReasonInvalidJSON]; n < 2 || n == junk || !bytes.HasPrefix(letters[len(letters)-1].Body, []byte(newest)) {
		t.Errorf("%d letters of the flood are left, the newest being %.20q; want some, up to %q", n, letters[len(letters)-1].Body, newest)
	}
	if removed := b.counter(t, "dead_letters_removed_total"); int(removed) != junk-kept[messaging.ReasonInvalidJSON] {
		t.Errorf("%v letters counted as removed, %d are gone", removed, junk-kept[messaging.ReasonInvalidJSON])
	}
}

// mute is a JetStream whose consumers of one reason send nothing, whatever is due.
type mute struct{ jetstream.JetStream }

func (m mute) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := m.JetStream.Stream(ctx, name)
	return muteStream{stream}, err
}

type muteStream struct{ jetstream.Stream }

func (m muteStream) OrderedConsumer(ctx context.Context, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := m.Stream.OrderedConsumer(ctx, cfg)
	if err != nil || cfg.FilterSubjects[0] == "novel.deadletter.>" {
		return consumer, err
	}
	return muteConsumer{consumer}, nil
}

type muteConsumer struct{ jetstream.Consumer }

func (m muteConsumer) Messages(...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	return muteMessages{}, nil
}

type muteMessages struct{ jetstream.MessagesContext }

func (muteMessages) Next(...jetstream.NextOpt) (jetstream.Msg, error) { return nil, nats.ErrTimeout }
func (muteMessages) Stop()                                            {}

// A server that sends no letter to one that measures them is not taken for one that has
// none: nothing is removed.
func TestSilenceRemovesNoLetter(t *testing.T) {
	t.Parallel()
	const letters = 14 // more than 7 of 8 MiB
	b := setup(t, func(c *eventstore.Config) { c.DeadLetterMaxBytes = 8 << 20 })
	b.log.WrapJetStream(func(js jetstream.JetStream) jetstream.JetStream { return mute{js} })
	for n := range letters + 1 {
		letter := messaging.DeadLetter{
			Reason: messaging.ReasonInvalidJSON, Source: "redis:test", At: time.Now(), Body: append(fmt.Appendf(nil, "junk %d ", n), bytes.Repeat([]byte("x"), 512<<10)...),
		}
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	if left := len(b.allLetters(t)); left != letters+1 {
		t.Errorf("%d of %d letters are left", left, letters+1)
	}
	if err := b.log.MakeLetterRoom(t.Context()); !errors.Is(err, eventstore.ErrStalled) {
		t.Errorf("the measurement of a silent consumer: %v", err)
	}
}
