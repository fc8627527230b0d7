package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// maxProbes bounds one search for the start of a page. Every second probe halves
// the range, so that 64 bits of sequence need no more.
const maxProbes = 2 * 64

// skipBytes is what the bodies of records may come to that are read and dropped
// in place of another probe.
const skipBytes = 64 << 10

// Locate returns where the newest limit records of a job with a sequence less
// than before lie; so that math.MaxUint64 means the end. It reads a few records
// and keeps none: who wants them reads forwards from there, page by page.
//
// JetStream reads forwards only, but says with every message of a batch how many
// more match. So one message read at a guess says how many records lie between
// the guess and the end. The first guess assumes that the job's records are spread
// evenly between its first and its last, and fits for a job that published at a
// steady pace; a pause or a burst costs a few probes more.
//
// Records that are appended meanwhile change the counts of both ends of a span, at
// different moments. A span is at least as long as it should be, and a few records
// longer then.
func (l *Log) Locate(ctx context.Context, jobID string, before uint64, limit int) (messaging.Span, error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil || limit < 1 || before < 2 {
		return messaging.Span{}, err
	}
	span, err := l.locate(ctx, subject, before, uint64(limit))
	if err != nil {
		return messaging.Span{}, fmt.Errorf("locate %d records of %s before %d: %w", limit, subject, before, err)
	}
	return span, nil
}

func (l *Log) locate(ctx context.Context, subject string, before, want uint64) (messaging.Span, error) {
	first, err := l.probe(ctx, subject, 1)
	if err != nil || first.count == 0 || first.sequence >= before {
		return messaging.Span{}, err
	}
	last, err := l.client.Direct(ctx, layout.EventStream, jet.Request{Last: subject})
	if errors.Is(err, jet.ErrNotFound) { // Purged since the probe, or not readable.
		last.Sequence, err = l.newestReadable(ctx, subject)
		if last.Sequence == 0 && err == nil {
			return messaging.Span{}, nil
		}
	}
	if err != nil {
		return messaging.Span{}, err
	}
	var beyond start // the records that are not wanted
	if before <= last.Sequence {
		if beyond, err = l.probe(ctx, subject, before); err != nil {
			return messaging.Span{}, err
		}
	}
	end := min(before, last.Sequence+1)
	switch {
	case first.sequence >= end:
		return messaging.Span{}, nil // Purged since the probe.
	case want == 1 && before > last.Sequence: // The newest record needs no search.
		return messaging.Span{First: last.Sequence, Last: last.Sequence, Count: 1, Older: first.sequence < last.Sequence}, nil
	}
	for target, round := want, 0; round < maxSearches; round++ {
		// The first itself lies before the end, whatever was appended since.
		first.count = max(less(first.count, beyond.count), 1)
		if first.count <= want {
			return messaging.Span{First: first.sequence, Last: end - 1, Count: int(first.count)}, nil
		}
		found, err := l.search(ctx, subject, first, start{sequence: end}, beyond.count, target)
		if err != nil {
			return messaging.Span{}, err
		}
		// Records that were appended during the search count for what was found.
		// Counted after it, they count for neither.
		counted := beyond.count
		if beyond, err = l.probe(ctx, subject, end); err != nil {
			return messaging.Span{}, err
		}
		found.count = less(found.count+counted, beyond.count)
		if found.count >= want || found.sequence == first.sequence {
			if found, err = l.skip(ctx, subject, found, end, beyond.count, want); err != nil {
				return messaging.Span{}, err
			}
			return messaging.Span{
				First: found.sequence, Last: end - 1, Count: int(min(found.count, want)), Older: found.sequence > first.sequence,
			}, nil
		}
		target += 2 * less(beyond.count, counted)
		if first, err = l.probe(ctx, subject, 1); err != nil || first.count == 0 || first.sequence >= end {
			return messaging.Span{}, err
		}
	}
	return messaging.Span{}, fmt.Errorf("%w: the log kept changing", ErrIncomplete)
}

// maxSearches bounds how often a span is searched for again because the log changed
// during the search.
const maxSearches = 8

// search returns a record from which want records lie before the end, or a few
// more. From many on there are more than that; from few on there are too few.
func (l *Log) search(ctx context.Context, subject string, many, few start, beyond, want uint64) (start, error) {
	for round := range maxProbes {
		if many.count <= want+many.cheap(want) || few.sequence <= many.sequence+1 {
			break
		}
		guess := many.middle(few)
		if round%2 == 0 {
			guess = many.between(few, want+many.cheap(want)/2)
		}
		found, err := l.probe(ctx, subject, guess)
		if err != nil {
			return start{}, err
		}
		found.count = less(found.count, beyond)
		if found.count < want || found.sequence >= few.sequence {
			few = start{sequence: guess, count: found.count}
		} else {
			many = found
		}
	}
	return many, nil
}

// skip reads on from a record until want records lie before the end, or fewer.
func (l *Log) skip(ctx context.Context, subject string, from start, end, beyond, want uint64) (start, error) {
	for from.count > want {
		request := jet.Request{
			Sequence: from.sequence + 1, Next: subject, Batch: int(min(from.count-want, maxSkip)), MaxBytes: pageBytes,
		}
		reached := from
		err := l.client.Batch(ctx, layout.EventStream, request, func(found jet.Message) {
			if reached.count > want && found.Sequence < end {
				reached = start{sequence: found.Sequence, count: less(found.Pending+1, beyond)}
			}
		})
		if err != nil {
			return start{}, err
		}
		if reached.sequence == from.sequence {
			return from, nil // What followed was removed, or comes after the end.
		}
		from = reached
	}
	return from, nil
}

// maxSkip bounds the records of one request whose answer is dropped.
const maxSkip = 1024

// slack is how many records more than asked for are cheaper to read than to
// avoid by another probe, unless they are large.
func slack(limit uint64) uint64 { return limit/2 + 16 }

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// start is a sequence, how many records of the job lie from it to the end, and
// the size of the first of them, 0 where that is not known.
type start struct{ sequence, count, size uint64 }

// cheap is how many records more than want are read and dropped in place of
// another probe, going by the size of one.
func (s start) cheap(want uint64) uint64 { return min(slack(want), skipBytes/max(s.size, 1)) }

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
	err := l.client.Batch(ctx, layout.EventStream, jet.Request{Sequence: sequence, Next: subject, Batch: 1}, func(m jet.Message) {
		found = start{sequence: m.Sequence, count: m.Pending + 1, size: uint64(len(m.Body))}
	})
	return found, err
}
