package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a log whose projection is said to be at a floor.
type log struct {
	*maintain.Log
	floor uint64
}

func (l log) ConsumerFloor(context.Context, string) (uint64, error) {
	if l.floor == 0 {
		return 0, eventstore.ErrNoConsumer
	}
	return l.floor, nil
}

// history is a read model that has some sequences.
type history struct {
	has []uint64
	err error
}

func (h history) ReadAfter(_ context.Context, _ string, after messaging.Position, _ int) ([]messaging.Record, error) {
	for _, sequence := range h.has {
		if sequence > after.Sequence {
			return []messaging.Record{{Position: messaging.Position{Epoch: after.Epoch, Sequence: sequence}}}, h.err
		}
	}
	return nil, h.err
}

func setup(t *testing.T) *maintain.Log {
	t.Helper()
	return maintain.Of(logkit.Open(t, logkit.Conn(t)))
}

func add(t *testing.T, log *maintain.Log, job, id, more string) {
	t.Helper()
	record := messaging.Record{
		JobID: job, Kind: messaging.KindDomain, ID: id, MessageID: id, EmittedAt: "2026-01-02T03:04:05.678Z",
		Body: fmt.Appendf(nil, `{"kind":"domain","jobId":%q,"id":%q%s}`, job, id, more),
	}
	if _, err := log.Append(t.Context(), record); err != nil {
		t.Fatal(err)
	}
}

// TestLettersBehindALargeOne finds a letter that is not in the first page: pages of
// letters are bounded in bytes.
func TestLettersBehindALargeOne(t *testing.T) {
	t.Parallel()
	opened := setup(t)
	padding := strings.Repeat("x", 5<<20)
	for _, body := range []string{`{"id":"large","padding":"` + padding + `"}`, `{"id":"lost"}`} {
		letter := messaging.DeadLetter{Reason: messaging.ReasonIDConflict, Source: "s", At: time.Now(), Body: []byte(body)}
		if err := opened.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	way, err := inspect.WayOf(t.Context(), log{opened, 0}, nil, inspect.Query{ID: "lost"}, nil)
	if err != nil || len(way.Letters) != 1 {
		t.Errorf("%d letters, %v", len(way.Letters), err)
	}
}

func TestWayOf(t *testing.T) {
	t.Parallel()
	opened := setup(t)
	add(t, opened, "a", "one", "")
	add(t, opened, "a", "two", `,"emittedAt":"2026-01-02T03:04:05.678Z"`)
	add(t, opened, "b", "three", `,"EmittedAt":"not that"`)
	plan := replay.Plan{Selection: replay.Selection{From: replay.Bound{Position: messaging.Position{Sequence: 2}}, Jobs: []string{"a"}}}
	if _, err := replay.Run(t.Context(), opened, replay.IntoLog(opened, "run"), plan); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"id":"two","jobId":"a"}`, `{"id":"lost","jobId":"a"}`, "two"} {
		letter := messaging.DeadLetter{Reason: messaging.ReasonIDConflict, Detail: "d", Source: "s", At: time.Now(), Body: []byte(body)}
		if err := opened.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	type answer struct {
		sequences []uint64
		projected inspect.Projected // of the first
		by        string            // likewise
		letters   int
		whole     bool
	}
	all := history{has: []uint64{1, 2, 3, 4}}
	tests := map[string]struct {
		query   inspect.Query
		history inspect.History
		floor   uint64
		want    answer
	}{
		"by id":                 {inspect.Query{ID: "one"}, all, 4, answer{[]uint64{1}, inspect.ProjectedYes, "gateway", 0, true}},
		"with its job":          {inspect.Query{ID: "one", JobID: "a"}, all, 4, answer{[]uint64{1}, inspect.ProjectedYes, "gateway", 0, true}},
		"by sequence":           {inspect.Query{Sequence: 3}, all, 4, answer{[]uint64{3}, inspect.ProjectedYes, "gateway", 0, true}},
		"replayed, conflicting": {inspect.Query{ID: "two"}, all, 4, answer{[]uint64{2, 4}, inspect.ProjectedYes, "worker", 1, true}},
		"no MongoDB":            {inspect.Query{ID: "one"}, nil, 0, answer{[]uint64{1}, inspect.ProjectedUnknown, "gateway", 0, true}},
		"never projected":       {inspect.Query{ID: "one"}, history{}, 0, answer{[]uint64{1}, inspect.ProjectedNotYet, "gateway", 0, true}},
		"not yet":               {inspect.Query{ID: "three"}, history{has: []uint64{4}}, 2, answer{[]uint64{3}, inspect.ProjectedNotYet, "gateway", 0, true}},
		"missing":               {inspect.Query{ID: "three"}, history{has: []uint64{4}}, 4, answer{[]uint64{3}, inspect.ProjectedMissing, "gateway", 0, false}},
		"incomplete":            {inspect.Query{ID: "one"}, history{err: projections.ErrIncomplete}, 4, answer{[]uint64{1}, inspect.ProjectedIncomplete, "gateway", 0, true}},
		"refused":               {inspect.Query{ID: "lost"}, all, 4, answer{nil, "", "", 1, false}},
	}
	for name, test := range tests {
		way, err := inspect.WayOf(t.Context(), log{opened, test.floor}, test.history, test.query, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var sequences []uint64
		for _, s := range way.Stored {
			sequences = append(sequences, s.Sequence)
		}
		if fmt.Sprint(sequences) != fmt.Sprint(test.want.sequences) || len(way.Letters) != test.want.letters || way.Whole() != test.want.whole {
			t.Errorf("%s: %+v", name, way)
		}
		if len(way.Stored) > 0 && (way.Stored[0].Projected != test.want.projected || way.Stored[0].EmittedBy != test.want.by) {
			t.Errorf("%s: %+v", name, way.Stored[0])
		}
		if len(way.Stored) == 2 && way.Stored[1].ReplayOf != way.Stored[0].Epoch+":2" {
			t.Errorf("%s: a replay of %q", name, way.Stored[1].ReplayOf)
		}
	}
	for name, query := range map[string]inspect.Query{
		"no such id": {ID: "four"}, "another job": {ID: "one", JobID: "b"}, "no such sequence": {Sequence: 9}, "another job's sequence": {Sequence: 1, JobID: "b"},
	} {
		if way, err := inspect.WayOf(t.Context(), log{opened, 4}, all, query, nil); !errors.Is(err, inspect.ErrNoEvent) {
			t.Errorf("%s: %+v, %v", name, way, err)
		}
	}
	broken := errors.New("broken")
	way, err := inspect.WayOf(t.Context(), log{opened, 4}, history{err: broken}, inspect.Query{ID: "one"}, nil)
	if err != nil || !way.Unreachable() || way.Stored[0].Sequence != 1 || way.Stored[0].ProjectedError != "broken" {
		t.Errorf("with a read model that does not answer: %+v, %v", way, err)
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	opened := setup(t)
	status, err := inspect.StatusOf(t.Context(), opened)
	if err != nil || status.Epoch != opened.Epoch() || status.First != 1 || status.Last != 0 || len(status.DeadLetters) != 0 {
		t.Errorf("an empty log: %+v, %v", status, err)
	}
	add(t, opened, "a", "one", "")
	if status, err = inspect.StatusOf(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	for _, s := range status.Streams {
		if s.Name == "NOVEL_EVENTS" && (s.Messages != 1 || s.FirstAt == nil || s.FullPercent <= 0 || s.FullPercent > 1 || s.WhenFull != "refuses") {
			t.Errorf("the events: %+v", s)
		}
		if s.Name == "NOVEL_DEADLETTER" && (s.FirstAt != nil || s.WhenFull != "drops-oldest") {
			t.Errorf("the dead letters: %+v", s)
		}
	}
	if len(status.Streams) < 2 {
		t.Errorf("streams %+v", status.Streams)
	}
}

// A consumer that was never made has everything before it.
func TestStatusOfAConsumerThatNeverRan(t *testing.T) {
	t.Parallel()
	opened := setup(t)
	add(t, opened, "a", "one", "")
	add(t, opened, "a", "two", "")
	status, err := inspect.StatusOf(t.Context(), opened, projections.History)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Consumers) != 1 || status.Consumers[0].Name != projections.History || !status.Consumers[0].NeverRan || status.Consumers[0].LagEvents != 2 {
		t.Errorf("the consumers are %+v", status.Consumers)
	}
}
