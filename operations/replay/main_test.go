package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t testing.TB) *maintain.Log {
	t.Helper()
	return maintain.Of(logkit.Open(t, logkit.Conn(t)))
}

// add appends count events of a job, of the type that the kind's name is.
func add(t testing.TB, log *maintain.Log, job string, kind messaging.Kind, count int) {
	t.Helper()
	for range count {
		state, err := log.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("%s-%d", job, state.Last+1)
		record := messaging.Record{
			JobID: job, Kind: kind, ID: id, MessageID: id, EmittedAt: "2026-01-02T03:04:05.678Z",
			Body: fmt.Appendf(nil, `{"kind":%q, "jobId":%q, "id":%q, "event":{"type":"of-%s","occurredAt":"o"}}`, kind, job, id, kind),
		}
		if _, err := log.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
}

// memory is a sink that remembers what was flushed.
type memory struct {
	taken   []messaging.Record
	flushed []uint64
	// failAt fails the taking of a sequence; failFlush fails a flush.
	failAt    uint64
	failFlush bool
	unfit     uint64
	after     func(taken int)
}

var errBroken = errors.New("the sink is broken")

func (m *memory) Take(_ context.Context, record messaging.Record) error {
	switch record.Sequence {
	case m.unfit:
		return fmt.Errorf("%w: too odd", replay.ErrUnfit)
	case m.failAt:
		return errBroken
	}
	m.taken = append(m.taken, record)
	if m.after != nil {
		m.after(len(m.taken) + len(m.flushed))
	}
	return nil
}

func (m *memory) Flush(context.Context) error {
	if m.failFlush {
		return errBroken
	}
	for _, record := range m.taken {
		m.flushed = append(m.flushed, record.Sequence)
	}
	m.taken = nil
	return nil
}

func sequence(n uint64) replay.Bound {
	return replay.Bound{Position: messaging.Position{Sequence: n}}
}

func span(first, last uint64) []uint64 {
	var all []uint64
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// sequencesOf runs a plan and returns what it hands on.
func sequencesOf(t *testing.T, log replay.Log, plan replay.Plan) ([]uint64, replay.Outcome) {
	t.Helper()
	var sink memory
	outcome, err := replay.Run(t.Context(), log, &sink, plan)
	if err != nil {
		t.Fatal(err)
	}
	return sink.flushed, outcome
}

// storedAt returns when the log took a record.
func storedAt(t *testing.T, log *maintain.Log, sequence uint64) time.Time {
	t.Helper()
	var at time.Time
	if err := log.Scan(t.Context(), sequence, sequence, func(r messaging.Record) error { at = r.StoredAt; return nil }); err != nil || at.IsZero() {
		t.Fatalf("sequence %d: %v, %v", sequence, at, err)
	}
	return at
}

func same(t *testing.T, what string, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
