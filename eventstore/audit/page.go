package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// EachAfter calls each with the notes under a subject whose number is greater than after,
// oldest first, at most most of them, and reports whether there are more. It ends early
// once they come to 4 MiB, and calls each for none while the stream does not exist.
func (t *Trail) EachAfter(ctx context.Context, subject string, after uint64, most int, each func(number uint64, note []byte)) (more bool, err error) {
	request := jet.Request{Sequence: after + 1, Next: subject, Batch: most, MaxBytes: jet.BatchBytes}
	err = t.client.Batch(ctx, layout.AuditStream, request, func(found jet.Message) {
		more = found.Pending > 0
		each(found.Sequence, found.Body)
	})
	if errors.Is(err, jet.ErrUnavailable) {
		if newest, asked := t.newest(ctx, subject); asked == nil && newest == 0 {
			return false, nil // the stream does not exist yet
		}
	}
	if err != nil {
		return false, fmt.Errorf("read the audit trail after %d: %w", after, err)
	}
	return more, nil
}

// EachBefore calls each with the newest notes under a subject whose number is less than
// before, oldest first, at most most of them, and reports whether there are older ones.
// With before 0 they are the newest of all.
func (t *Trail) EachBefore(ctx context.Context, subject string, before uint64, most int, each func(number uint64, note []byte)) (older bool, err error) {
	newest, err := t.newest(ctx, subject)
	if err != nil || newest == 0 {
		return false, err
	}
	if before == 0 {
		before = math.MaxUint64
	}
	end := min(before, newest+1)
	first, older, err := t.start(ctx, subject, end, uint64(most))
	if err != nil {
		return false, fmt.Errorf("find the notes of the audit trail before %d: %w", end, err)
	}
	for after := first - 1; after < end-1; {
		read, more := after, false
		if more, err = t.EachAfter(ctx, subject, after, most, func(number uint64, note []byte) {
			if read = number; number < end {
				each(number, note)
			}
		}); err != nil {
			return false, err
		}
		if after = read; !more {
			break
		}
	}
	return older, nil
}

// start returns the greatest number from which on there are most notes before end, or 1 if
// there are no more than most, and whether there are notes before that number. Nothing is
// removed from the trail. Notes that are added meanwhile make a page shorter, but no note
// is left out.
func (t *Trail) start(ctx context.Context, subject string, end, most uint64) (number uint64, older bool, err error) {
	beyond, err := t.count(ctx, subject, end)
	if err != nil {
		return 0, false, err
	}
	all, err := t.count(ctx, subject, 1)
	if err != nil || all <= beyond+most {
		return 1, false, err
	}
	// The server counts, in some twenty requests for one note each.
	fewer := sort.Search(int(end)-1, func(n int) bool {
		found := uint64(0)
		if err == nil {
			found, err = t.count(ctx, subject, uint64(n)+1)
		}
		return found < beyond+most
	})
	return uint64(fewer), true, err
}

// count returns how many notes there are under a subject from a number on.
func (t *Trail) count(ctx context.Context, subject string, number uint64) (count uint64, err error) {
	request := jet.Request{Sequence: number, Next: subject, Batch: 1}
	err = t.client.Batch(ctx, layout.AuditStream, request, func(found jet.Message) { count = found.Pending + 1 })
	return count, err
}

// newest returns the number of the newest note under a subject, 0 when there is none. The
// leader of the stream answers.
func (t *Trail) newest(ctx context.Context, subject string) (uint64, error) {
	// Not the last sequence of the stream, which holds notes of other subjects, too.
	newest, err := t.client.Leader(ctx, layout.AuditStream, jet.Request{Last: subject})
	switch {
	case errors.Is(err, jet.ErrNotFound), jet.HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("ask for the newest note in stream %s: %w", layout.AuditStream, err)
	}
	return newest.Sequence, nil
}
