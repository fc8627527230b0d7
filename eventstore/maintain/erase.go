package maintain

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// erasePage is how many records an erasure reads at once.
const erasePage = 256

// CountJob returns how many records the log has of a job.
func (l *Log) CountJob(ctx context.Context, jobID string) (uint64, error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(ctx, layout.EventStream)
	if err != nil {
		return 0, fmt.Errorf("count the records of %s: %w", subject, jet.Unavailable(err))
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, fmt.Errorf("count the records of %s: %w", subject, jet.Unavailable(err))
	}
	return info.State.Subjects[subject], nil
}

// EraseJob removes the job's records with a sequence of at most through, so that
// no copy of them stays in the files of the stream, and returns how many there
// were. It calls told, unless that is nil, with the number of those removed so far. A
// repeat continues where it was interrupted.
//
// A purge by subject alone (server 2.15) marks records as removed and leaves their
// bytes in the file until the block is rewritten, which may be never. So each
// is deleted with its bytes overwritten first; the purge takes what came between.
// To overwrite one record, the server writes its whole block of 4 or 8 MiB to the disk
// again: for many records, see [Log.PurgeJob].
func (l *Log) EraseJob(ctx context.Context, jobID string, through uint64, told func(erased uint64)) (erased uint64, err error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return 0, err
	}
	setup, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(setup, layout.EventStream)
	if err != nil {
		return 0, fmt.Errorf("erase %s: %w", subject, jet.Unavailable(err))
	}
	end := through
	if end < math.MaxUint64 {
		end++
	}
	for {
		records, err := l.ReadAfter(ctx, jobID, 0, erasePage)
		if err != nil {
			return erased, fmt.Errorf("erase %s: %w", subject, err)
		}
		sequences := make([]uint64, 0, len(records))
		for _, record := range records {
			if record.Sequence <= through {
				sequences = append(sequences, record.Sequence)
			}
		}
		if len(sequences) == 0 {
			// A replica that is behind, and one that is done, look the same.
			left, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: 1, Next: subject})
			if errors.Is(err, jet.ErrNotFound) || err == nil && left.Sequence > through {
				break
			}
			if err != nil {
				return erased, fmt.Errorf("erase %s: %w", subject, err)
			}
			sequences = append(sequences, left.Sequence)
		}
		for _, sequence := range sequences {
			was, err := l.overwrite(ctx, stream, sequence)
			if err != nil {
				return erased, fmt.Errorf("erase %s at sequence %d: %w", subject, sequence, err)
			}
			if !was {
				continue
			}
			if erased++; told != nil {
				told(erased)
			}
		}
	}
	bounded, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	if err := stream.Purge(bounded, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(end)); err != nil {
		return erased, fmt.Errorf("purge %s: %w", subject, jet.Unavailable(err))
	}
	return erased, nil
}

// overwrite deletes one message and its bytes. It reports false for one that is gone,
// which is no error: a page may come from a replica that is behind.
func (l *Log) overwrite(ctx context.Context, stream jetstream.Stream, sequence uint64) (was bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	err = stream.SecureDeleteMsg(ctx, sequence)
	if err == nil {
		return true, nil
	}
	if _, gone := l.client.Leader(ctx, stream.CachedInfo().Config.Name, jet.Request{Sequence: sequence}); errors.Is(gone, jet.ErrNotFound) {
		return false, nil
	}
	return false, jet.Unavailable(err)
}

// EraseDeadLetter deletes one letter, its bytes overwritten. One that is gone
// already is no error.
func (l *Log) EraseDeadLetter(ctx context.Context, sequence uint64) error {
	setup, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	stream, err := l.client.JS.Stream(setup, layout.DeadLetterStream)
	if err == nil {
		_, err = l.overwrite(ctx, stream, sequence)
	}
	if err != nil {
		return fmt.Errorf("erase dead letter %d: %w", sequence, jet.Unavailable(err))
	}
	return nil
}
