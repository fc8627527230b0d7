package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/letswriteabook/realtime/messaging"
)

// maxProbes bounds one search for the start of a page. Every second probe halves
// the range, so that 64 bits of sequence need no more.
const maxProbes = 2 * 64

// maxSearches bounds how often a page is searched anew because the log changed
// under it.
const maxSearches = 8

// ReadNewest returns the job's newest limit records, oldest first: what the log
// held when it was asked. A job with many records is not read through.
func (l *Log) ReadNewest(ctx context.Context, jobID string, limit int) ([]messaging.Record, error) {
	return l.ReadBefore(ctx, jobID, math.MaxUint64, limit)
}

// ReadBefore returns the newest limit records of the job with a sequence less
// than before, oldest first. A job with many records is not read through.
func (l *Log) ReadBefore(ctx context.Context, jobID string, before uint64, limit int) ([]messaging.Record, error) {
	subject, err := eventSubject(jobID)
	if err != nil {
		return nil, err
	}
	if limit < 1 || before < 2 {
		return nil, nil
	}
	limit = min(limit, 1<<30)
	records, err := l.readBack(ctx, subject, before, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s before %d: %w", subject, before, err)
	}
	return records, nil
}

// readBack finds a start from which little more than limit records lie before
// the end, reads on from there and keeps the last ones.
//
// JetStream reads forwards only, but tells with every message of a batch how
// many more match. So one message read at a guess tells how many records lie
// between the guess and the end. The first guess assumes that the job's records
// are spread evenly between its first and its last, and fits for a job that
// published at a steady pace; a pause or a burst costs a few probes more.
//
// Appends, and replicas that lag, change the counts between two requests. A
// page that came out short although the job has older records is searched anew.
func (l *Log) readBack(ctx context.Context, subject string, before uint64, limit int) ([]messaging.Record, error) {
	want := uint64(limit)
	for range maxSearches {
		first, found, err := l.search(ctx, subject, before, want)
		if err != nil || first.count == 0 || first.sequence >= before {
			return nil, err
		}
		records, err := l.lastFrom(ctx, subject, found.sequence, before, limit)
		if err != nil || len(records) >= limit || found.sequence == first.sequence {
			return records, err
		}
		want += slack(want)
	}
	return nil, fmt.Errorf("%w: the log kept changing", ErrIncomplete)
}

// search returns the job's first record, and the record to read on from so as
// to get want records before the end, and not many more.
func (l *Log) search(ctx context.Context, subject string, before, want uint64) (first, many start, err error) {
	first, err = l.probe(ctx, subject, 1)
	if err != nil || first.count <= want+slack(want) {
		return first, first, err
	}
	last, err := l.direct(ctx, eventStream, directRequest{Last: subject})
	if errors.Is(err, errNotFound) {
		return start{}, start{}, nil // Purged since the probe.
	}
	if err != nil {
		return first, first, err
	}
	var beyond start
	if before <= last.sequence {
		if beyond, err = l.probe(ctx, subject, before); err != nil {
			return first, first, err
		}
	}

	// From many on there are more records than the page should read; from few
	// on there are too few.
	many = start{sequence: first.sequence, count: less(first.count, beyond.count)}
	few := start{sequence: min(before, last.sequence+1)}
	for round := range maxProbes {
		if many.count <= want+slack(want) || few.sequence <= many.sequence+1 {
			break
		}
		guess := many.middle(few)
		if round%2 == 0 {
			guess = many.between(few, want+slack(want)/2)
		}
		found, err := l.probe(ctx, subject, guess)
		if err != nil {
			return first, first, err
		}
		found.count = less(found.count, beyond.count)
		if found.count < want || found.sequence >= few.sequence {
			few = start{sequence: guess, count: found.count}
		} else {
			many = found
		}
	}
	return first, many, nil
}

// lastFrom reads from a sequence to the end and returns the last limit records.
func (l *Log) lastFrom(ctx context.Context, subject string, from, before uint64, limit int) ([]messaging.Record, error) {
	var kept []messaging.Record
	page := limit + int(slack(uint64(limit)))
	for after := from - 1; ; {
		records, err := l.readRange(ctx, subject, after, before, page, math.MaxInt)
		if err != nil {
			return nil, err
		}
		kept = append(kept, records...)
		if extra := len(kept) - limit; extra > 0 {
			kept = slices.Clone(kept[extra:])
		}
		if len(records) < page {
			return kept, nil
		}
		after = records[len(records)-1].Sequence
	}
}

// slack is how many records more than asked for are cheaper to read than to
// avoid by another probe.
func slack(limit uint64) uint64 { return limit/2 + 16 }

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// start is a sequence, and how many records of the job lie from it to the end.
type start struct{ sequence, count uint64 }

// middle returns the sequence half way between the two.
func (s start) middle(few start) uint64 { return s.sequence + (few.sequence-s.sequence)/2 }

// between guesses the sequence from which want records lie to the end, strictly
// between the two.
func (s start) between(few start, want uint64) uint64 {
	if s.count <= few.count || want <= few.count || want >= s.count {
		return s.middle(few)
	}
	width := few.sequence - s.sequence
	share := float64(want-few.count) / float64(s.count-few.count)
	offset := min(max(uint64(share*float64(width)), 1), width-1)
	return few.sequence - offset
}

// probe returns the job's first record at or after a sequence, and the number
// of its records from there on; a count of 0 says that there is none.
func (l *Log) probe(ctx context.Context, subject string, sequence uint64) (start, error) {
	var found start
	err := l.batch(ctx, eventStream, directRequest{Sequence: sequence, Next: subject, Batch: 1}, func(m message) {
		found = start{sequence: m.sequence, count: m.pending + 1}
	})
	return found, err
}
