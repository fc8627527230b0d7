package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/internal/contain"
)

// respond runs a responder until stop is called.
func (b *bundle) respond(t *testing.T, name string, answer gateways.Answerer) (stop func()) {
	t.Helper()
	guard := contain.New(prometheus.NewCounter(prometheus.CounterOpts{Name: "panics"}), slog.New(slog.DiscardHandler))
	responder, err := gateways.NewResponder(b.log.Client(), name, answer, guard, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- responder.Run(ctx) }() // ends with stop
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := await(t, "the end of a responder", ended); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	eventually(t, name+" answers", func() bool {
		answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"})
		return err == nil && slices.ContainsFunc(answers.Items, func(a gateways.Answer) bool { return a.Gateway == name })
	})
	return stop
}

// named answers with the gateway's name, and fails as the question asks.
func named(name string) gateways.Answerer {
	return func(ctx context.Context, question gateways.Question) (any, bool, error) {
		switch question.Kind {
		case "large":
			return strings.Repeat("x", gateways.MaxAnswerBytes), false, nil
		case "cut":
			return name, name == "b", nil
		case "panic":
			panic("a defect")
		case "late":
			if name == "b" {
				<-ctx.Done()
				return nil, false, ctx.Err()
			}
		}
		return name, false, nil
	}
}

// told returns what answers say, in a line.
func told(answers gateways.Answers) string {
	var lines []string
	for _, answer := range answers.Items {
		lines = append(lines, fmt.Sprintf("%s %s %v %v", answer.Gateway, answer.Body, answer.Cut, answer.Err != ""))
	}
	return fmt.Sprintf("%s; missing %v", strings.Join(lines, ", "), answers.Missing)
}

func TestGatewaysAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ask := func(kind string) gateways.Answers {
		t.Helper()
		answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		return answers
	}
	if got := told(ask("name")); got != "; missing []" {
		t.Errorf("without gateways: %s", got)
	}
	stop := b.respond(t, "b", named("b"))
	b.respond(t, "a", named("a"))
	for kind, want := range map[string]string{
		"name":  `a "a" false false, b "b" false false; missing []`,
		"cut":   `a "a" false false, b "b" true false; missing []`,
		"large": `a  false true, b  false true; missing []`,
		"panic": `a  false true, b  false true; missing []`,
	} {
		eventually(t, kind+": "+want, func() bool { return told(ask(kind)) == want })
	}
	// One that does not answer in time is missing; the wait for it is bounded.
	began := time.Now()
	if got := told(ask("late")); got != `a "a" false false; missing [b]` && got != `a "a" false false, b  false true; missing []` {
		t.Errorf("with a late gateway after %s: %s", time.Since(began), got)
	}
	// What others publish is passed over, and so is a name that is no name.
	for _, subject := range []string{"novel.gateways.ask", "novel.gateways.present", "novel.gateways.other"} {
		for _, text := range []string{"", "{", `{"gateway":""}`, `{"gateway":"a b"}`, `{"gateway":"` + strings.Repeat("x", 129) + `"}`} {
			if err := b.conn.PublishMsg(&nats.Msg{Subject: subject, Data: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One that only presents itself is missing, and one that takes its leave is not.
	if err := b.conn.Publish("novel.gateways.present", []byte(`{"gateway":"c"}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "c is missing", func() bool { return told(ask("name")) == `a "a" false false, b "b" false false; missing [c]` })
	stop()
	if err := b.conn.Publish("novel.gateways.present", []byte(`{"gateway":"c","gone":true}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a is alone", func() bool { return told(ask("name")) == `a "a" false false; missing []` })
}

// An answer of a process that has not listened to the others for long does not end the wait,
// because it may not name them.
func TestSettling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, err := b.conn.Subscribe("novel.gateways.ask", func(msg *nats.Msg) {
		_ = msg.Respond([]byte(`{"gateway":"new","present":["new"],"settling":true,"body":1}`))
		_ = msg.Respond([]byte(`{"gateway":"old","present":["new","old"],"body":2}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(answers); got != `new 1 false false, old 2 false false; missing []` {
		t.Error(got)
	}
	_ = sub.Unsubscribe()
	// A process says so itself in the first interval, and not afterwards.
	began := time.Now()
	b.respond(t, "a", named("a"))
	eventually(t, "a has listened for long enough", func() bool {
		answer, err := b.conn.Request("novel.gateways.ask", []byte(`{"kind":"name"}`), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		settling := strings.Contains(string(answer.Data), `"settling":true`)
		if !settling && time.Since(began) < gateways.PresentInterval {
			t.Fatalf("the first answers: %s", answer.Data)
		}
		return !settling
	})
}

// Answers that are too many together are left out, and their gateways are missing.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const answering = 40 // of half a MiB
	body, err := json.Marshal(strings.Repeat("x", gateways.MaxAnswerBytes-2))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range answering {
		names = append(names, fmt.Sprintf("g%02d", n))
	}
	present, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := b.conn.Subscribe("novel.gateways.ask", func(msg *nats.Msg) {
		for _, name := range names {
			_ = msg.Respond(fmt.Appendf(nil, `{"gateway":%q,"present":%s,"body":%s}`, name, present, body))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"})
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, answer := range answers.Items {
		size += len(answer.Body)
	}
	if size > 16<<20 || len(answers.Items) == 0 || len(answers.Items)+len(answers.Missing) != answering || len(answers.Missing) == 0 {
		t.Errorf("%d answers with %d bytes, and %d gateways are missing", len(answers.Items), size, len(answers.Missing))
	}
	long := gateways.Question{Kind: strings.Repeat("x", 20<<10)}
	if _, err := gateways.Ask(t.Context(), b.log.Client(), long); !errors.Is(err, gateways.ErrInvalid) {
		t.Errorf("a question of %d bytes: %v", len(long.Kind), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gateways.Ask(ended, b.log.Client(), gateways.Question{Kind: "name"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

// TestNameOfTwoProcesses: a process logs once that another one has its name, and not that it
// receives its own presence, or that of the process before it.
func TestNameOfTwoProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.respond(t, "twin", named("twin"))()
	logged := make(chan string, 10)
	logger := slog.New(slog.NewTextHandler(lineWriter(logged), nil))
	guard := contain.New(prometheus.NewCounter(prometheus.CounterOpts{Name: "panics"}), logger)
	run := func() (stop func()) {
		responder, err := gateways.NewResponder(b.log.Client(), "twin", named("twin"), guard, logger)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- responder.Run(ctx) }() // ends with stop
		return func() {
			cancel()
			if err := await(t, "the end of a responder", ended); err != nil {
				t.Error(err)
			}
		}
	}
	stopFirst := run()
	defer stopFirst()
	eventually(t, "the first has received its own presence", func() bool {
		answers, err := gateways.Ask(t.Context(), b.log.Client(), gateways.Question{Kind: "name"})
		return err == nil && len(answers.Items) == 1
	})
	select {
	case line := <-logged:
		t.Errorf("alone, it logs %s", line)
	default:
	}
	stopSecond := run()
	defer stopSecond()
	for range 2 {
		if line := await(t, "a warning", logged); !strings.Contains(line, "another process has the name") {
			t.Errorf("it logs %s", line)
		}
	}
}

// lineWriter takes the lines of a log.
type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}
