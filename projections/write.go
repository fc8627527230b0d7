package projections

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// errRefused says that MongoDB refused a document in every form, the barest
// included. The cause is then the server: a validator, or a lack of rights. The
// message of the server is left out, because it may quote the document.
var errRefused = errors.New("refused in every form")

// duplicateKey is MongoDB's error code of an _id that is there already.
const duplicateKey = 11000

// insertAll inserts the documents in no order, and returns the indexes of those whose
// _id existed and of those that MongoDB refused. An error means an outage, after which any
// of the documents may be missing. When the whole command fails for another reason, all
// documents count as refused.
func (s *Store) insertAll(ctx context.Context, c *mongo.Collection, docs []any) (there, refused []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_, err = c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	switch {
	case err == nil:
		return nil, nil, nil
	case s.hungUp(ctx, err):
		for i := range docs {
			refused = append(refused, i)
		}
		return nil, refused, nil
	case isOutage(err):
		return nil, nil, fmt.Errorf("insert %d documents into %s: %w", len(docs), c.Name(), err)
	}
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) {
		for i := range docs {
			refused = append(refused, i)
		}
		return nil, refused, nil
	}
	for _, failure := range bulk.WriteErrors {
		if failure.Code == duplicateKey {
			there = append(there, failure.Index)
		} else {
			refused = append(refused, failure.Index)
		}
	}
	return there, refused, nil
}

// hungUp reports whether a server that answers has closed the connection on a command, as
// some do for a document that they cannot read. Such documents are written one by one.
func (s *Store) hungUp(ctx context.Context, err error) bool {
	return mongo.IsNetworkError(err) && !mongo.IsTimeout(err) && s.Ping(ctx) == nil
}

// hangUps is how often a document is tried in one shape when the server hangs up.
const hangUps = 3

// writeReduced writes one document by itself in the fullest shape that MongoDB
// takes, and reports what was left out.
func (s *Store) writeReduced(
	ctx context.Context, projection string, record messaging.Record, write func(context.Context, shape) error,
) error {
	code := 0
	for shape := range shapes {
		err := s.writeOne(ctx, shape, write)
		hungUp := s.hungUp(ctx, err)
		for try := 1; hungUp && try < hangUps; try++ {
			err = s.writeOne(ctx, shape, write)
			hungUp = s.hungUp(ctx, err)
		}
		switch {
		case hungUp: // refused, in its own way
		case err == nil && shape == shapeFull:
			return nil // it was refused for another reason than its content
		case err == nil:
			if shape != shapeBare {
				s.reportReduced(ctx, projection, record, keptRaw, code)
				return nil
			}
			return s.omit(ctx, projection, record, code)
		case isOutage(err):
			return fmt.Errorf("write sequence %d of %q: %w", record.Sequence, projection, err)
		}
		code = codeOf(err)
	}
	return fmt.Errorf("write sequence %d of %q: %w (code %d)", record.Sequence, projection, errRefused, code)
}

// omit notes and reports a record whose document says nothing of its event.
func (s *Store) omit(ctx context.Context, projection string, record messaging.Record, code int) error {
	if err := s.noteOmission(ctx, projection, record); err != nil {
		return err
	}
	s.reportReduced(ctx, projection, record, keptNothing, code)
	return nil
}

// reportReduced counts and logs a document without all of its event. code is MongoDB's
// error code, or zero when MongoDB has not refused the document.
func (s *Store) reportReduced(ctx context.Context, projection string, record messaging.Record, kept string, code int) {
	s.metrics.reduced.WithLabelValues(projection, kept).Inc()
	attrs := []any{"projection", projection, "job", record.JobID, "sequence", record.Sequence, "kept", kept, "code", code}
	s.logger.WarnContext(ctx, "A document could not be stored in full", append(attrs, messaging.TraceAttrs(record.TraceParent)...)...)
}

func (s *Store) writeOne(ctx context.Context, shape shape, write func(context.Context, shape) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	return write(ctx, shape)
}
