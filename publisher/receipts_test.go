package publisher_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// answer subscribes to the events, and publishes on the receipts channel what reply
// returns for each, until the test ends.
func answer(t *testing.T, client *redis.Client, reply func(messaging.Envelope) [][]byte) {
	t.Helper()
	events := client.Subscribe(t.Context(), messaging.EventsChannel)
	if _, err := events.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the subscription
		defer close(ended)
		for message := range events.Channel() {
			envelope, err := messaging.DefaultCatalogue().Decode([]byte(message.Payload), messaging.DefaultMaxEventBytes)
			if err != nil {
				t.Error(err)
				return
			}
			for _, body := range reply(envelope) {
				_ = client.Publish(context.Background(), messaging.ReceiptsChannel, body)
			}
		}
	}()
	t.Cleanup(func() {
		_ = events.Close()
		<-ended
	})
}

func encoded(t *testing.T, body []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return body
}

// A forged receipt in Redis confirms nothing.
func TestForgedReceiptsAreIgnored(t *testing.T) {
	t.Parallel()
	const key = messaging.ReceiptKey("shared with the gateways")
	client := startRedis(t)
	sent := 0
	answer(t, client, func(e messaging.Envelope) [][]byte {
		sent++
		forged := messaging.Receipt{ID: e.ID, JobID: e.JobID, Sequence: 99}
		plain, err := messaging.ReceiptKey("").Encode(forged)
		other, otherErr := messaging.ReceiptKey("another").Encode(forged)
		refused, refusedErr := messaging.ReceiptKey("").EncodeRefusal(messaging.Refusal{ID: e.ID, JobID: e.JobID, Reason: messaging.ReasonIDConflict})
		bodies := [][]byte{encoded(t, plain, err), encoded(t, other, otherErr), encoded(t, refused, refusedErr)}
		if sent > 2 { // the gateway has stored it
			signed, err := key.Encode(messaging.Receipt{ID: e.ID, JobID: e.JobID, Sequence: 7})
			bodies = append(bodies, encoded(t, signed, err))
		}
		return bodies
	})
	cfg := quick()
	cfg.ReceiptSecret = string(key)
	p, _ := run(t, client, cfg)
	pending, err := p.Publish(t.Context(), event(t, "job", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if receipt, err := wait(t, pending); err != nil || receipt.Sequence != 7 {
		t.Errorf("receipt %+v, %v; want the one of the gateway", receipt, err)
	}
}

// A refusal on the receipts channel ends its event at once, and the next of the job
// is sent.
func TestRefusalOverRedis(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	answer(t, client, func(e messaging.Envelope) [][]byte {
		if e.ID == "taken" {
			body, err := messaging.ReceiptKey("").EncodeRefusal(messaging.Refusal{ID: e.ID, JobID: e.JobID, Reason: messaging.ReasonIDConflict})
			return [][]byte{encoded(t, body, err)}
		}
		body, err := messaging.ReceiptKey("").Encode(messaging.Receipt{ID: e.ID, JobID: e.JobID, Sequence: 2})
		return [][]byte{encoded(t, body, err)}
	})
	p, _ := run(t, client, quick())
	taken, err := p.Publish(t.Context(), event(t, "job", "taken"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := p.Publish(t.Context(), event(t, "job", "next"))
	if err != nil {
		t.Fatal(err)
	}
	var rejection *messaging.Rejection
	if _, err := wait(t, taken); !errors.As(err, &rejection) || rejection.Reason != messaging.ReasonIDConflict {
		t.Errorf("refused event: %v", err)
	}
	if receipt, err := wait(t, next); err != nil || receipt.Sequence != 2 {
		t.Errorf("next event: %+v, %v", receipt, err)
	}
}

// One id may wait for two jobs.
func TestAnIDWaitsForEachJob(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	sequence := uint64(0)
	answer(t, client, func(e messaging.Envelope) [][]byte {
		sequence++
		body, err := messaging.ReceiptKey("").Encode(messaging.Receipt{ID: e.ID, JobID: e.JobID, Sequence: sequence})
		return [][]byte{encoded(t, body, err)}
	})
	cfg := quick()
	cfg.Dir = t.TempDir()
	p, _ := run(t, client, cfg)
	for _, jobID := range []string{"one", "two"} {
		pending, err := p.Publish(t.Context(), event(t, jobID, "same"))
		if err != nil {
			t.Fatal(err)
		}
		if receipt, err := wait(t, pending); err != nil || receipt.JobID != jobID {
			t.Errorf("receipt %+v, %v; want one of job %s", receipt, err, jobID)
		}
	}
	if _, err := p.Publish(t.Context(), event(t, "one", "later")); errors.Is(err, publisher.ErrIDTaken) {
		t.Error(err)
	}
}
