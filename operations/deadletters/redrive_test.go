package deadletters_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// refusedAt is when the letters of the tests were refused.
var refusedAt = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func rules() deadletters.Rules {
	return deadletters.Rules{Catalogue: messaging.DefaultCatalogue(), MaxEventBytes: messaging.DefaultMaxEventBytes}
}

func setup(t *testing.T, bodies ...string) *maintain.Log {
	t.Helper()
	log := maintain.Of(logkit.Open(t, logkit.Conn(t)))
	for i, body := range bodies {
		letter := messaging.DeadLetter{Reason: messaging.ReasonUnknownKind, Source: "test", At: refusedAt.Add(time.Duration(i) * time.Minute), Body: []byte(body)}
		if err := log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

func status(jobID, id string) string {
	return `{"kind":"job-status","jobId":"` + jobID + `","status":"running"` + id + `}`
}

// interrupted fails once between the append and the removal of a letter.
type interrupted struct {
	*maintain.Log
	left int
}

var errInterrupted = errors.New("interrupted")

func (l *interrupted) RemoveDeadLetter(ctx context.Context, sequence uint64) error {
	if l.left--; l.left == 0 {
		return errInterrupted
	}
	return l.Log.RemoveDeadLetter(ctx, sequence)
}

// A redrive that is interrupted is repeated, and stores each event once, with an
// id and without.
func TestInterruptedRedriveIsRepeated(t *testing.T) {
	t.Parallel()
	log := setup(t, status("job", `,"id":"a"`), "no JSON", status("job", ""), status("other", `,"emittedAt":"2020-01-01T00:00:00Z"`))
	var outcomes []deadletters.Outcome
	told := func(o deadletters.Outcome) error { outcomes = append(outcomes, o); return nil }
	if err := deadletters.Redrive(t.Context(), &interrupted{log, 2}, rules(), deadletters.Filter{}, false, told); !errors.Is(err, errInterrupted) {
		t.Fatalf("error %v", err)
	}
	if len(outcomes) == 0 || outcomes[len(outcomes)-1].Stored == 0 {
		t.Errorf("outcomes before the interruption: %+v", outcomes)
	}
	outcomes = nil
	if err := deadletters.Redrive(t.Context(), log, rules(), deadletters.Filter{}, false, told); err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 3 || outcomes[0].Refused == "" || !outcomes[1].Duplicate || outcomes[2].Stored == 0 {
		t.Errorf("outcomes %+v", outcomes)
	}
	records, err := log.ReadAfter(t.Context(), "job", 0, 10)
	if err != nil || len(records) != 2 || records[0].ID != "a" || records[1].EmittedAt != messaging.FormatTime(refusedAt.Add(2*time.Minute)) {
		t.Errorf("stored %+v, %v", records, err)
	}
	if records, err = log.ReadAfter(t.Context(), "other", 0, 10); err != nil || len(records) != 1 || records[0].EmittedAt != "2020-01-01T00:00:00Z" {
		t.Errorf("stored %+v, %v", records, err)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	log := setup(t, status("a", ""), status("b", ""), "no JSON", status("a", `,"id":"x"`))
	tests := map[string]struct {
		filter deadletters.Filter
		want   int
	}{
		"all":         {deadletters.Filter{}, 4},
		"job":         {deadletters.Filter{JobID: "a"}, 2},
		"sequence":    {deadletters.Filter{Sequences: []uint64{2, 9}}, 1},
		"reason":      {deadletters.Filter{Reasons: []messaging.Reason{messaging.ReasonTooLarge}}, 0},
		"since":       {deadletters.Filter{Since: refusedAt.Add(time.Minute)}, 3},
		"until":       {deadletters.Filter{Until: refusedAt.Add(time.Minute)}, 1},
		"limit":       {deadletters.Filter{Limit: 3}, 3},
		"job, limit":  {deadletters.Filter{JobID: "a", Limit: 1}, 1},
		"job, and at": {deadletters.Filter{JobID: "a", Since: refusedAt.Add(time.Second)}, 1},
	}
	for name, test := range tests {
		if count, err := deadletters.Purge(t.Context(), log, test.filter, true, nil); err != nil || count != test.want {
			t.Errorf("%s: %d letters, %v", name, count, err)
		}
	}
	for range 2 { // the second time there is nothing to remove
		if _, err := deadletters.Purge(t.Context(), log, deadletters.Filter{JobID: "a"}, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if count, err := deadletters.Purge(t.Context(), log, deadletters.Filter{}, true, nil); err != nil || count != 2 {
		t.Errorf("%d letters are left, %v", count, err)
	}
	if err := log.RemoveDeadLetter(t.Context(), 1); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
	if err := (deadletters.Filter{Reasons: []messaging.Reason{"boredom"}}).Validate(); err == nil {
		t.Error("an unknown reason is taken")
	}
}

// pages counts the reads of a source of 1,000 letters, of which none is stored anywhere.
type pages struct{ read int }

func (p *pages) DeadLetters(_ context.Context, after uint64, limit int) (letters []maintain.Letter, _ error) {
	p.read++
	for sequence := after + 1; sequence <= 1000 && len(letters) < limit; sequence++ {
		letters = append(letters, maintain.Letter{Sequence: sequence})
	}
	return letters, nil
}

// Letters that are named are read without those before and after them.
func TestNamedLettersAreReadAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sequences, want []uint64 }{
		{[]uint64{900}, []uint64{900}},
		{[]uint64{950, 902}, []uint64{902, 950}},
		{[]uint64{1000}, []uint64{1000}},
		{[]uint64{0, 1}, []uint64{1}},
		{[]uint64{2000}, nil},
	} {
		source, found := &pages{}, []uint64(nil)
		err := deadletters.Each(t.Context(), source, deadletters.Filter{Sequences: test.sequences}, func(letter maintain.Letter) error {
			found = append(found, letter.Sequence)
			return nil
		})
		if err != nil || !slices.Equal(found, test.want) || source.read != 1 {
			t.Errorf("%v: found %v in %d reads, %v", test.sequences, found, source.read, err)
		}
	}
}
