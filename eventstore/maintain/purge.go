package maintain

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

const (
	// purgeBatch is how many messages one purge removes, about. While the server
	// removes them it takes no others and answers no reads of the stream: 50,000 took
	// it less than a second.
	purgeBatch = 50_000
)

// PurgeJob removes the job's records with a sequence of at most through, and returns how
// many there were. It takes seconds where [Log.EraseJob] takes hours, and nobody can
// read the records from the server afterwards; but their bytes stay in the files of the
// stream until the server rewrites those. Of the blocks of the stream, which are
// 4 or 8 MiB, it removes those at once that have nothing else, and those of which half is
// removed within minutes; others stay as they are.
//
// told, if any, is called with the number of those that are gone. A repeat goes on
// where it was interrupted.
func (l *Log) PurgeJob(ctx context.Context, jobID string, through uint64, told func(purged uint64)) (purged uint64, err error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return 0, err
	}
	for {
		first, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: 1, Next: subject})
		if errors.Is(err, jet.ErrNotFound) || err == nil && first.Sequence > through {
			return purged, nil
		}
		if err != nil {
			return purged, fmt.Errorf("purge %s: %w", subject, err)
		}
		left, err := l.CountJob(ctx, jobID)
		if err != nil {
			return purged, err
		}
		count, err := l.client.Purge(ctx, layout.EventStream, subject, purgeEnd(first.Sequence, through, left))
		if err != nil {
			return purged, fmt.Errorf("purge %s: %w", subject, err)
		}
		if count == 0 { // such as while a leader of the stream takes over
			return purged, fmt.Errorf("purge %s: sequence %d is still there: %w", subject, first.Sequence, eventstore.ErrUnavailable)
		}
		if purged += count; told != nil {
			told(purged)
		}
	}
}

// purgeEnd returns the sequence before which the next purge of a subject ends, that has
// count messages from first on: so far from first that [purgeBatch] of them lie before
// it, if they are spread evenly.
func purgeEnd(first, through, count uint64) uint64 {
	end := through
	if end < math.MaxUint64 {
		end++ // the server keeps the sequence that it is given
	}
	if count <= purgeBatch {
		return end
	}
	span := float64(through-first) / float64(count) * purgeBatch
	return min(end, first+max(uint64(span), purgeBatch))
}
