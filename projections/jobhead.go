package projections

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/messaging"
)

// Head returns the job's last status in novel_job_heads or, when that has none,
// in the workers' novel_jobs; false when neither has.
// The first read is by _id; the second by jobId, see [Store.findJob]. It fails with
// [ErrUnavailable].
func (s *Store) Head(ctx context.Context, jobID string) (messaging.JobHead, bool, error) {
	var doc bson.Raw
	err := s.read(ctx, headsCollection, func(ctx context.Context) (err error) {
		doc, err = s.heads.FindOne(ctx, bson.D{{Key: fieldID, Value: jobID}}).Raw()
		return err
	})
	snapshotOf, at := headSnapshot, fieldEmittedAt
	if errors.Is(err, mongo.ErrNoDocuments) {
		doc, err = s.findJob(ctx, jobID)
		snapshotOf, at = aggregateSnapshot, fieldUpdatedAt
	}
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return messaging.JobHead{}, false, nil
	case err != nil:
		return messaging.JobHead{}, false, err
	}
	if doc.Validate() != nil || text(doc, fieldJobID) == "" || text(doc, fieldStatus) == "" {
		s.metrics.malformed.Inc()
		return messaging.JobHead{}, false, nil
	}
	head := messaging.JobHead{
		JobID:     text(doc, fieldJobID),
		Status:    text(doc, fieldStatus),
		EmittedAt: timeText(doc.Lookup(at)),
	}
	if head.EmittedAt == "" {
		head.EmittedAt = messaging.FormatTime(time.Now())
	}
	if head.Snapshot, err = snapshotOf(doc); err != nil {
		s.metrics.malformed.Inc()
		return messaging.JobHead{}, false, nil
	}
	return head, true, nil
}

// headSnapshot returns the snapshot of a document of novel_job_heads: that of the
// envelope, where the document has it.
func headSnapshot(doc bson.Raw) (json.RawMessage, error) {
	if raw := text(doc, fieldRaw); raw != "" {
		var envelope map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &envelope); err != nil {
			return nil, err
		}
		return absentIfNull(envelope[fieldSnapshot]), nil
	}
	value, err := doc.LookupErr(fieldSnapshot)
	if err != nil {
		return nil, nil //nolint:nilerr // an absent field is no snapshot
	}
	snapshot, err := appendValue(nil, value)
	return absentIfNull(snapshot), err
}

func absentIfNull(value json.RawMessage) json.RawMessage {
	if string(value) == "null" {
		return nil
	}
	return value
}
