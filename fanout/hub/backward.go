package hub

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// backward reads a job's records from the newest to the oldest, a page at a time.
//
// MongoDB is read in that direction. JetStream is not: there the records that are
// wanted are located and read through once, oldest first, to learn where their pages
// begin. The last page is kept from that, the others are read once more when it is
// their turn. So one page is held, and as a rule there is only one.
type backward struct {
	*walk
	before uint64 // what was read so far begins there
	// parts are pages of the log that are yet to be read, the next one last: one for
	// each page of what was asked for.
	parts []part
	ended bool
}

// part is a page of the log: what follows a sequence, through another.
type part struct{ after, through uint64 }

// next returns the newest of the records that were not returned yet, oldest first: a
// page of at most limit of them; none at the end.
func (b *backward) next(ctx context.Context, limit int) (records []messaging.Record, err error) {
	switch last := len(b.parts) - 1; {
	case last >= 0:
		records, err = b.page(ctx, b.parts[last])
		b.parts = b.parts[:last]
	case !b.ended:
		if records, err = b.projected(ctx, limit); err == nil && len(records) == 0 && !b.ended {
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

// projected reads a page of MongoDB; none when the log has to answer.
func (b *backward) projected(ctx context.Context, limit int) (records []messaging.Record, err error) {
	records, err = b.walk.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		if page, ok := b.h.projectedBefore(ctx, b.at, b.before, limit); ok {
			return page, nil
		}
		return nil, nil
	})
	switch {
	case len(records) > 0:
		b.ended = len(records) < limit && bodyBytes(records) < sourcePageBytes
	case b.at.head == 0:
		b.ended = true // the log has nothing of the job
	}
	return records, err
}

// maxSurveys bounds how often pages are looked for among messages of the log that
// are no records.
const maxSurveys = 8

// survey locates the newest limit records in the log, reads through them and returns
// the last page.
func (b *backward) survey(ctx context.Context, limit int) (records []messaging.Record, err error) {
	for range maxSurveys {
		var span messaging.Span
		err = b.h.flights.bounded(ctx, b.by, func(ctx context.Context) error {
			span, err = b.h.locateInLog(ctx, b.at, b.before, limit)
			return err
		})
		if err != nil || span.First == 0 {
			b.ended = true
			return nil, err
		}
		if records, err = b.readThrough(ctx, span); err != nil || len(records) > 0 {
			b.ended = !span.Older
			return records, err
		}
		if b.before = span.First; !span.Older {
			break
		}
	}
	b.ended = true
	return nil, nil
}

// readThrough notes where the pages of a span begin, and returns the last one.
func (b *backward) readThrough(ctx context.Context, span messaging.Span) (records []messaging.Record, err error) {
	for after := span.First - 1; after < span.Last; {
		page, err := b.page(ctx, part{after: after, through: span.Last})
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

// page returns the first page of a part.
func (b *backward) page(ctx context.Context, wanted part) ([]messaging.Record, error) {
	return b.walk.read(ctx, func(ctx context.Context) ([]messaging.Record, error) {
		records, err := b.h.log.ReadAfter(ctx, b.at.jobID, wanted.after, MaxPage)
		for len(records) > 0 && lastSequence(records) > wanted.through {
			records = records[:len(records)-1]
		}
		return records, err
	})
}
