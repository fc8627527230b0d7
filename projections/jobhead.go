package projections

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// JobHead is the last known state of a job.
type JobHead struct {
	JobID  string
	Status string
	// Snapshot is a JSON value, or nil when there is none.
	Snapshot json.RawMessage
	// EmittedAt is when the status was, as its writer put it; the time of the
	// read when the worker's aggregate does not say.
	EmittedAt string
}

// Head returns the job's last status in novel_job_heads or, when that has none,
// in the workers' novel_jobs; false when neither has.
// The first read is by _id; the second takes whatever index on jobId the
// workers have. It fails with [ErrUnavailable].
func (s *Store) Head(ctx context.Context, jobID string) (JobHead, bool, error) {
	head, found, err := s.readHead(ctx, s.heads, bson.D{{Key: fieldID, Value: jobID}}, fieldSnapshot, fieldEmittedAt)
	if err != nil || found {
		return head, found, err
	}
	return s.readHead(ctx, s.jobs, bson.D{{Key: fieldJobID, Value: jobID}}, "summary", fieldUpdatedAt)
}

// readHead returns the first document that the filter matches; the names are of
// the fields of the snapshot and of the time.
func (s *Store) readHead(
	ctx context.Context, c *mongo.Collection, filter bson.D, snapshot, at string,
) (head JobHead, found bool, err error) {
	var doc bson.Raw
	err = s.read(ctx, c.Name(), func(ctx context.Context) (err error) {
		doc, err = c.FindOne(ctx, filter, options.FindOne()).Raw()
		return err
	})
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return JobHead{}, false, nil
	case err != nil:
		return JobHead{}, false, err
	}
	if doc.Validate() != nil || text(doc, fieldJobID) == "" || text(doc, fieldStatus) == "" {
		s.metrics.malformed.Inc()
		return JobHead{}, false, nil
	}
	head = JobHead{
		JobID:     text(doc, fieldJobID),
		Status:    text(doc, fieldStatus),
		EmittedAt: timeText(doc.Lookup(at)),
	}
	if head.EmittedAt == "" {
		head.EmittedAt = messaging.FormatTime(time.Now())
	}
	if head.Snapshot, err = readSnapshot(doc, snapshot); err != nil {
		s.metrics.malformed.Inc()
		return JobHead{}, false, nil
	}
	return head, true, nil
}

// readSnapshot returns the snapshot from the envelope, where a head has that, and
// otherwise from the named field.
func readSnapshot(doc bson.Raw, name string) (json.RawMessage, error) {
	if raw := text(doc, fieldRaw); raw != "" && name == fieldSnapshot {
		var envelope map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &envelope); err != nil {
			return nil, err
		}
		return absentIfNull(envelope[fieldSnapshot]), nil
	}
	value, err := doc.LookupErr(name)
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
