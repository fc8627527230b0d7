package hub

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// backward reads a job's records from the newest to the oldest, a page at a time.
//
// MongoDB can be read in that direction. JetStream cannot: there the records are located
// and read once, oldest first, to find where their pages begin. The last of these pages is
// returned, and the others are read again in their turn. So one page is held, and usually
// there is only one.
type backward struct {
	*walk
	before uint64 // the sequence of the oldest record returned so far
	// parts are the pages of the log that have to be read again, the next one last.
	parts []part
	ended bool
}

// part is a page of the log: the records after one sequence, up to another.
type part struct{ after, through uint64 }

// next returns the newest records that were not returned yet, at most limit and oldest
// first; none at the end.
func (b *backward) next(ctx context.Context, limit int) (records []messaging.Record, err error) {
	switch last := len(b.parts) - 1; {
	case last >= 0:
		records, err = b.page(ctx, b.parts[last], false)
		b.parts = b.parts[:last]
	case !b.ended:
		if records, err = b.cached(ctx, limit); err == nil && len(records) == 0 {
			records, err = b.projected(ctx, limit)
		}
		if err == nil && len(records) == 0 && !b.ended {
			records, err = b.survey(ctx, limit)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(records) > 0 {
		b.before = records[0].Sequence
	}
	return records, nil
}

// cached returns a page from the cache, which may be a short one; none when the cache does
// not have what is next.
func (b *backward) cached(ctx context.Context, limit int) ([]messaging.Record, error) {
	before := b.before
	if before > b.at.head { // then the newest records are due, which the cache may not have
		known := b.h.cache.newest(b.at)
		if known == 0 || known < b.at.head {
			return nil, nil
		}
		if last := known; !b.at.current {
			err := b.h.flights.bounded(ctx, b.by, func(ctx context.Context) (err error) {
				last, err = b.h.log.LastSequenceFrom(ctx, b.at.jobID, known)
				return err
			})
			switch {
			case err != nil:
				return nil, err
			case last > known:
				// The room has not read the newest record yet. MongoDB must not be asked for what
				// precedes it in its place.
				b.at.head, b.at.current = last, true
				return nil, nil
			}
		}
		before = min(before, known+1)
	}
	return b.walk.read(ctx, func(context.Context) (records []messaging.Record, err error) {
		records, b.ended = b.h.cache.before(b.at, before, limit)
		return records, nil
	})
}

// projected reads a page from MongoDB; none when the log has to be read.
func (b *backward) projected(ctx context.Context, limit int) (records []messaging.Record, err error) {
	records, err = b.walk.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		if page, ok := b.h.projectedBefore(ctx, b.at, b.before, limit); ok {
			return page, nil
		}
		return nil, nil
	})
	b.h.cache.putBefore(b.at, b.before, records)
	switch {
	case len(records) > 0:
		if b.ended = len(records) < limit && bodyBytes(records) < sourcePageBytes; b.ended {
			b.h.cache.setOldest(b.at, records[0].Sequence)
		}
	case b.at.head == 0:
		b.ended = true // the log has no records of the job
	}
	return records, err
}

// maxSurveys bounds the spans that are read without finding a record: the messages there
// may not be records.
const maxSurveys = 8

// survey locates the newest limit records in the log, reads them, and returns the last
// page.
func (b *backward) survey(ctx context.Context, limit int) (records []messaging.Record, err error) {
	for range maxSurveys {
		var span messaging.Span
		err = b.h.flights.bounded(ctx, b.by, func(ctx context.Context) error {
			span, err = b.h.locateInLog(ctx, b.at, b.before, limit)
			return err
		})
		if err != nil || span.First == 0 {
			b.ended = true
			if err == nil && b.h.projection == nil && b.before <= b.at.head {
				b.h.cache.setOldest(b.at, b.before)
			}
			return nil, err
		}
		if records, err = b.readThrough(ctx, span); err != nil || len(records) > 0 {
			// With a projection, MongoDB may have older ones, which the log has removed.
			if b.ended = !span.Older && b.h.projection == nil; b.ended {
				b.h.cache.setOldest(b.at, span.First)
			}
			return records, err
		}
		if b.before = span.First; !span.Older {
			break
		}
	}
	b.ended = true
	return nil, nil
}

// readThrough reads a span, notes where its pages begin, and returns the last one.
func (b *backward) readThrough(ctx context.Context, span messaging.Span) (records []messaging.Record, err error) {
	for after := span.First - 1; after < span.Last; {
		page, err := b.page(ctx, part{after: after, through: span.Last}, true)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		b.parts = append(b.parts, part{after: after, through: lastSequence(page)})
		records, after = page, lastSequence(page)
	}
	b.parts = b.parts[:max(len(b.parts)-1, 0)]
	return records, nil
}

// page returns the first page of a part. A page from the cache may be short, which short
// has to allow.
func (b *backward) page(ctx context.Context, wanted part, short bool) ([]messaging.Record, error) {
	return b.walk.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		records := b.h.cachedRecords(b.at, wanted.after, MaxPage)
		if short && len(records) > 0 || lastSequence(records) >= wanted.through {
			return upTo(records, wanted.through), nil
		}
		records, err := b.h.log.ReadAfter(ctx, b.at.jobID, wanted.after, MaxPage)
		if err != nil {
			return nil, err
		}
		b.h.cacheLogged(ctx, b.at, wanted.after, records)
		return upTo(records, wanted.through), nil
	})
}

// upTo returns the records up to a sequence.
func upTo(records []messaging.Record, through uint64) []messaging.Record {
	for lastSequence(records) > through {
		records = records[:len(records)-1]
	}
	return records
}
