package deadletters_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

// counted counts the letters that are removed one by one, and the requests for many.
type counted struct {
	*maintain.Log
	single, purges int
}

func (l *counted) RemoveDeadLetters(ctx context.Context, sequences []uint64) error {
	l.single += len(sequences)
	return l.Log.RemoveDeadLetters(ctx, sequences)
}

func (l *counted) PurgeDeadLetters(ctx context.Context, reason messaging.Reason, before uint64) (uint64, error) {
	l.purges++
	return l.Log.PurgeDeadLetters(ctx, reason, before)
}

// TestPurgeInBulk removes many letters with few requests where a filter takes all of a
// reason from the oldest on, and never one that stays.
func TestPurgeInBulk(t *testing.T) {
	t.Parallel()
	const letters = 120
	reasons := []messaging.Reason{messaging.ReasonUnknownKind, messaging.ReasonInvalidJSON, messaging.ReasonTooLarge}
	for name, test := range map[string]struct {
		filter               deadletters.Filter
		want, single, purges int
	}{
		"all":              {deadletters.Filter{}, letters, 0, 3},
		"a reason":         {deadletters.Filter{Reasons: reasons[1:2]}, letters / 3, 0, 1},
		"until":            {deadletters.Filter{Until: refusedAt.Add(60 * time.Minute)}, 60, 0, 3},
		"until, of two":    {deadletters.Filter{Until: refusedAt.Add(60 * time.Minute), Reasons: reasons[:2]}, 40, 0, 2},
		"the oldest":       {deadletters.Filter{Limit: 50}, 50, 0, 3},
		"since":            {deadletters.Filter{Since: refusedAt.Add(60 * time.Minute)}, 60, 60, 0},
		"a job":            {deadletters.Filter{JobID: "0"}, letters / 10, letters/10 - 1, 1},
		"named":            {deadletters.Filter{Sequences: []uint64{3, 5, 900}}, 2, 2, 0},
		"nothing":          {deadletters.Filter{JobID: "nobody"}, 0, 0, 0},
		"a job, two of it": {deadletters.Filter{JobID: "5", Limit: 2}, 2, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &counted{Log: maintain.Of(logkit.Open(t, logkit.Conn(t)))}
			for i := range letters {
				letter := messaging.DeadLetter{
					Reason: reasons[i%3], At: refusedAt.Add(time.Duration(i) * time.Minute), Body: fmt.Appendf(nil, `{"jobId":"%d","n":%d}`, i%10, i),
				}
				if err := log.DeadLetter(t.Context(), letter); err != nil {
					t.Fatal(err)
				}
			}
			kept := map[uint64]bool{}
			note := func(filter deadletters.Filter, there bool) {
				err := deadletters.Each(t.Context(), log, filter, func(letter maintain.Letter) error {
					if there {
						kept[letter.Sequence] = true
					} else {
						delete(kept, letter.Sequence)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			note(deadletters.Filter{}, true)
			note(test.filter, false)
			told := 0
			count, err := deadletters.Purge(t.Context(), log, test.filter, false, func(count int) { told = count })
			if err != nil || count != test.want || told != count || log.single != test.single || log.purges != test.purges {
				t.Errorf("removed %d, told %d, with %d requests for many and %d for one; %v", count, told, log.purges, log.single, err)
			}
			note(deadletters.Filter{}, false)
			left := 0
			if err := deadletters.Each(t.Context(), log, deadletters.Filter{}, func(maintain.Letter) error { left++; return nil }); err != nil {
				t.Fatal(err)
			}
			if len(kept) > 0 || left != letters-test.want {
				t.Errorf("%d letters are left; gone that were to stay: %v", left, kept)
			}
		})
	}
}
