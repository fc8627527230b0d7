package eventstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

func TestStreams(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *eventstore.Config) { c.MaxBytes, c.MaxAge = 64<<20, time.Hour })
	b.add(t, record("a", "x"), record("b", "y"))
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHERS", Subjects: []string{"others"}}); err != nil {
		t.Fatal(err)
	}
	streams, err := maintain.Of(b.log).Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range streams {
		names = append(names, s.Name)
		if s.Name != "NOVEL_EVENTS" {
			continue
		}
		if s.Messages != 2 || s.First != 1 || s.Last != 2 || s.FirstAt == nil || s.LastAt == nil || s.LastAt.Before(*s.FirstAt) || s.Bytes == 0 ||
			s.MaxBytes != 64<<20 || s.MaxMessages != 0 || s.MaxAgeSeconds != 3600 || s.WhenFull != "refuses" || s.DedupSeconds == 0 || s.Storage != "file" || s.Replicas != 1 {
			t.Errorf("the events are %+v", s)
		}
	}
	if !slices.Contains(names, "NOVEL_EVENTS") || !slices.Contains(names, "NOVEL_DEADLETTER") || slices.Contains(names, "OTHERS") {
		t.Errorf("streams %v", names)
	}
}

func TestConsumers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("a", "x"), record("b", "y"), record("a", "z"))
	ctx, cancel := context.WithCancel(t.Context())
	applied := make(chan int, 10)
	ended := make(chan error, 1)
	go func() { // stopped by cancel
		ended <- b.log.Consume(ctx, "model", 10, func(_ context.Context, records []messaging.Record) error {
			applied <- len(records)
			return nil
		})
	}()
	for got := 0; got < 3; {
		got += await(t, "a batch", applied)
	}
	eventually(t, "the acknowledgements", func() bool {
		state, err := b.log.ConsumerState(t.Context(), "model")
		return err == nil && state.Floor == 3
	})
	cancel()
	if err := await(t, "the end of the consumption", ended); err != nil {
		t.Error(err)
	}
	b.add(t, record("b", "w"))
	consumers, err := maintain.Of(b.log).Consumers(t.Context())
	if err != nil || len(consumers) != 1 {
		t.Fatalf("consumers %+v, %v", consumers, err)
	}
	c := consumers[0]
	// The server sends the new record if it is stored before the end of the last request arrives.
	inFlight := int(c.Delivered) - 3
	if c.Name != "model" || !c.Durable || inFlight < 0 || inFlight > 1 || c.Acknowledged != 3 || c.LagEvents != 1 || c.InFlight != inFlight || c.Paused ||
		c.LagSeconds > patience.Seconds() || c.LagSeconds <= 0 {
		t.Errorf("the consumer is %+v", c)
	}
}

func TestDeadLetterCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, body := range []string{"a", "b", "b"} { // the third is the second again
		letter := messaging.DeadLetter{Reason: messaging.ReasonInvalidJSON, At: time.Now(), Body: []byte(body)}
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	letter := messaging.DeadLetter{Reason: messaging.ReasonTooLarge, At: time.Now(), Body: []byte("c")}
	if err := b.log.DeadLetter(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	counts, err := maintain.Of(b.log).DeadLetterCounts(t.Context())
	if err != nil || len(counts) != 2 || counts[messaging.ReasonInvalidJSON] != 2 || counts[messaging.ReasonTooLarge] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
}
