package projections

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// writeContained writes a batch for a projection, with written set when some of it may
// have been written before. When that panics, each record is written by itself. One that
// panics alone is omitted first, so that it holds up no other: omit writes what can be
// written without its event. Then it is tried again, see [retries]. A panic over omit is
// an error, and the batch is offered again.
func (s *Store) writeContained(
	ctx context.Context, projection string, records []messaging.Record, written bool,
	write func(records []messaging.Record, written bool) error, omit func(record messaging.Record) error,
) error {
	err := s.guard.Do(projection, func() error { return write(records, written) })
	if !errors.Is(err, contain.ErrPanic) {
		return err
	}
	var omitted []omission
	for i, record := range records {
		err := s.guard.Do(projection, func() error { return write(records[i:i+1], true) })
		if errors.Is(err, contain.ErrPanic) {
			omitted = append(omitted, omission{projection: projection, record: record})
			err = s.guard.Do(projection, func() error { return omit(record) })
			if err == nil {
				err = s.noteOmission(ctx, projection, record)
			}
		}
		if err != nil {
			return err
		}
	}
	s.retry(ctx, omitted)
	return nil
}

// insertOmitted inserts the document of a record that says nothing of its event.
func (s *Store) insertOmitted(ctx context.Context, record messaging.Record) error {
	_, _, err := s.insertAll(ctx, s.events, []any{event{Record: record}.document(shapeBare)})
	return err
}

// join runs work in a goroutine of a group. A panic is an error of the work.
func (s *Store) join(group *errgroup.Group, work func() error) {
	group.Go(func() error { return s.guard.Do("read", work) })
}
