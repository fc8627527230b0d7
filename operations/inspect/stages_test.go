package inspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/operations/inspect"
)

// respond has a gateway answer with what its recorder has, until the test ends. Without a
// recorder, it fails.
func respond(t *testing.T, log *maintain.Log, name string, notes *recorder.Recorder) {
	t.Helper()
	guard := contain.New(prometheus.NewCounter(prometheus.CounterOpts{Name: "panics"}), slog.New(slog.DiscardHandler))
	answer := func(_ context.Context, question gateways.Question) (any, bool, error) {
		var query recorder.Query
		if question.Kind != recorder.QuestionNotes || json.Unmarshal(question.Args, &query) != nil || notes == nil {
			return nil, false, errors.New("broken")
		}
		found, more := notes.Find(query)
		return found, more, nil
	}
	responder, err := gateways.NewResponder(log.Client(), name, answer, guard, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- responder.Run(ctx) }() // ends with cancel
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		answers, err := log.AskGateways(t.Context(), gateways.Question{Kind: "present"})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range answers.Items {
			if item.Gateway == name {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer", name)
		}
	}
}

func record(t *testing.T, notes ...recorder.Note) *recorder.Recorder {
	t.Helper()
	recorded, err := recorder.New(recorder.Config{Bytes: 1 << 20, Events: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range notes {
		recorded.Note(note)
	}
	return recorded
}

// TestStages: the way of an event has what all gateways have recorded of it, in the order
// of time, and says how many could not be asked.
func TestStages(t *testing.T) {
	t.Parallel()
	opened := setup(t)
	add(t, opened, "a", "one", "")
	way, err := inspect.WayOf(t.Context(), log{opened, 0}, nil, inspect.Query{ID: "one"}, nil)
	if err != nil || len(way.Stored) != 1 || way.Stored[0].Stages == nil || len(way.Stored[0].Stages) != 0 || way.Stored[0].Unasked != 0 {
		t.Fatalf("without gateways: %+v, %v", way, err)
	}
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	respond(t, opened, "first", record(
		t,
		recorder.Note{At: at(0), Stage: recorder.StageLogged, JobID: "a", ID: "of another epoch", Sequence: 1},
		recorder.Note{At: at(1), Stage: recorder.StageLogging, JobID: "a", ID: "one", Sequence: 1},
		recorder.Note{At: at(2), Stage: recorder.StageLogged, JobID: "a", ID: "one", Sequence: 1},
		recorder.Note{At: at(4), Stage: recorder.StageDelivered, JobID: "a", Sequence: 1, Receivers: 2},
		recorder.Note{At: at(5), Stage: recorder.StageDelivered, JobID: "b", Sequence: 2, Receivers: 2},
	))
	respond(t, opened, "second", record(t, recorder.Note{At: at(3), Stage: recorder.StageDelivered, JobID: "a", Sequence: 1, Receivers: 5, FellBack: 1}))
	respond(t, opened, "third", nil)
	if way, err = inspect.WayOf(t.Context(), log{opened, 0}, nil, inspect.Query{ID: "one"}, nil); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, s := range way.Stored[0].Stages {
		text += fmt.Sprintf("%d %s %s %d %d %t; ", s.At.Unix(), s.Stage, s.Gateway, s.Receivers, s.FellBack, s.Delivery())
	}
	want := "1 logging first 0 0 false; 2 logged first 0 0 false; 3 delivered second 5 1 true; 4 delivered first 2 0 true; "
	if text != want || way.Stored[0].Unasked != 1 {
		t.Errorf("got %q and %d unasked, want %q and 1", text, way.Stored[0].Unasked, want)
	}
}
