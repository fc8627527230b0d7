package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// ingestLog shows the log as ingest wants to see it: what the log can never take
// is a rejection, and so a dead letter.
type ingestLog struct {
	*eventstore.Log
	recorder *recorder.Recorder
}

func (l ingestLog) Append(ctx context.Context, record messaging.Record) (messaging.Receipt, error) {
	began := time.Now()
	receipt, err := l.Log.Append(ctx, record)
	if err == nil {
		l.note(began, record, receipt)
	}
	switch {
	case errors.Is(err, eventstore.ErrTooLarge):
		err = &messaging.Rejection{Reason: messaging.ReasonTooLarge, Detail: err.Error()}
	case errors.Is(err, eventstore.ErrInvalidJobID), errors.Is(err, eventstore.ErrInvalidRecord):
		err = &messaging.Rejection{Reason: messaging.ReasonSchemaViolation, Detail: err.Error()}
	}
	return receipt, err
}

func (l ingestLog) AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	began := time.Now()
	receipts, err := l.Log.AppendBatch(ctx, records)
	if err == nil {
		for i, receipt := range receipts {
			l.note(began, records[i], receipt)
		}
	}
	return receipts, err
}

// note notes that the log has a record.
func (l ingestLog) note(began time.Time, record messaging.Record, receipt messaging.Receipt) {
	epoch := l.Log.Epoch()
	l.recorder.Note(recorder.Note{At: began, Stage: recorder.StageLogging, JobID: record.JobID, ID: record.ID, Sequence: receipt.Sequence, Epoch: epoch})
	l.recorder.Note(recorder.Note{Stage: recorder.StageLogged, JobID: record.JobID, ID: record.ID, Sequence: receipt.Sequence, Epoch: epoch, Duplicate: receipt.Duplicate})
}

func (l ingestLog) DeadLetter(ctx context.Context, letters ...messaging.DeadLetter) error {
	err := l.Log.DeadLetter(ctx, letters...)
	var unstored []int
	var some ingest.UnstoredLetters
	switch {
	case errors.As(err, &some):
		unstored = some.Unstored()
	case err != nil:
		return err
	}
	for i, letter := range letters {
		if l.recorder != nil && !slices.Contains(unstored, i) {
			l.recorder.Note(refused(letter))
		}
	}
	return err
}

// hubLog shows the log as fan-out wants to see it.
type hubLog struct{ *eventstore.Log }

func (l hubLog) Extent(ctx context.Context) (messaging.Extent, error) {
	return l.State(ctx)
}

// hubErasures shows the record of erasures as fan-out wants to see it: as they
// began. That one is done says nothing new, and when it was finished after a restore
// it must not be taken for newer than what that has noted.
type hubErasures struct{ *audit.Trail }

func (a hubErasures) Erased(ctx context.Context, after uint64) (erased []hub.Erasure, newest uint64, err error) {
	notes, newest, err := a.Begun(ctx, after)
	for _, note := range notes {
		erased = append(erased, hub.Erasure{
			JobID: note.JobID, Through: messaging.Position{Epoch: note.Epoch, Sequence: note.Through},
		})
	}
	return erased, newest, err
}

// hubProjection shows the read models as fan-out wants to see them. How far they
// are is the log's to say: it knows what has been acknowledged.
type hubProjection struct {
	*projections.Store
	log *eventstore.Log
}

// maxUnprojected bounds the records of a job that are read because the history may not
// have them yet.
const maxUnprojected = 20_000

func newHubProjection(models *projections.Store, log *eventstore.Log) hubProjection {
	return hubProjection{log: log, Store: models.Beside(func(ctx context.Context, jobID string, each func(messaging.Record)) error {
		// A consumer that never ran has projected nothing.
		after, err := log.ConsumerFloor(ctx, projections.History)
		if err != nil && !errors.Is(err, eventstore.ErrNoConsumer) {
			return err
		}
		for read := 0; read < maxUnprojected; {
			records, err := log.ReadAfter(ctx, jobID, after, 250)
			if err != nil || len(records) == 0 {
				return err
			}
			for _, record := range records {
				each(record)
			}
			read, after = read+len(records), records[len(records)-1].Sequence
		}
		return nil
	})}
}

func (p hubProjection) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	names, err := p.Store.FindLegacy(ctx, jobID, limit)
	if errors.Is(err, projections.ErrLog) {
		err = fmt.Errorf("%w: %w", hub.ErrLog, err)
	}
	return names, err
}

func (p hubProjection) Floor(ctx context.Context) (uint64, error) {
	return p.log.ConsumerFloor(ctx, projections.History)
}

// mongoKeeper keeps the high-water mark of the log in MongoDB.
type mongoKeeper struct{ models *projections.Store }

// Name implements [eventstore.Keeper].
func (mongoKeeper) Name() string { return "MongoDB" }

// Load implements [eventstore.Keeper].
func (k mongoKeeper) Load(ctx context.Context) (eventstore.Mark, bool, error) {
	position, at, found, err := k.models.HighWater(ctx)
	return eventstore.Mark{Epoch: position.Epoch, Sequence: position.Sequence, At: at}, found, err
}

// Beyond implements [eventstore.Witness].
func (k mongoKeeper) Beyond(ctx context.Context, end eventstore.Mark) (uint64, error) {
	return k.models.Beyond(ctx, messaging.Position{Epoch: end.Epoch, Sequence: end.Sequence})
}

// Store implements [eventstore.Keeper].
func (k mongoKeeper) Store(ctx context.Context, mark eventstore.Mark) error {
	return k.models.NoteHighWater(ctx, messaging.Position{Epoch: mark.Epoch, Sequence: mark.Sequence}, mark.At)
}
