package eventstore_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/internal/contain"
)

// While NATS does not answer, a process answers its own operators, and says that the others
// could not be asked. Whoever has no answer of its own is given an error.
func TestQuestionsWhileNATSHangs(t *testing.T) {
	t.Parallel()
	b, dialer := openStubborn(t)
	guard := contain.New(prometheus.NewCounter(prometheus.CounterOpts{Name: "panics"}), slog.New(slog.DiscardHandler))
	responder, err := gateways.NewResponder(b.log.Client(), "own", named("own"), guard, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- responder.Run(ctx) }() // ends with cancel
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the end of the responder", ended); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the process is asked over NATS", func() bool {
		answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"})
		return err == nil && len(answers.Items) == 1
	})
	if answers, err := responder.Ask(t.Context(), gateways.Question{Kind: "name"}); err != nil || answers.Unasked != nil || told(answers) != `own "own" false false; missing []` {
		t.Errorf("while NATS answers: %s, %v, %v", told(answers), answers.Unasked, err)
	}

	release := dialer.block(t)
	defer release()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		answers, err := responder.Ask(t.Context(), gateways.Question{Kind: "name"})
		if err != nil || answers.Unasked == nil || told(answers) != `own "own" false false; missing []` {
			t.Errorf("while NATS hangs: %s, %v, %v", told(answers), answers.Unasked, err)
		}
		if answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"}); err == nil {
			t.Errorf("without an answer of its own: %s", told(answers))
		}
		if gateways, followers, err := b.operators().AskFollowers(t.Context(), "job"); err == nil {
			t.Errorf("followers while NATS hangs: %d at %d gateways", followers, gateways)
		}
	}()
	await(t, "the questions to end while NATS hangs", asked)
}
