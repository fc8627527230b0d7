package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// pageLength is how many records are read at once.
const pageLength = 500

// historyCollection is where the history projection keeps its documents.
const historyCollection = "novel_job_events"

// OpenLog opens the trial's log as a reader that does not change it.
func (t *Trial) OpenLog(ctx context.Context) (*maintain.Log, func(), error) {
	conn, err := eventstore.Connect(ctx, t.natsURL(), eventstore.ConnConfig{Name: "fault run"})
	if err != nil {
		return nil, nil, err
	}
	cfg := eventstore.DefaultConfig()
	cfg.OpenTimeout = time.Minute
	log, err := maintain.Attach(ctx, conn, cfg, nil)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return log, conn.Close, nil
}

// readLog reads the records of the jobs, calls note with each, and returns the last
// sequence of each job. It retries while the log elects a leader.
func (t *Trial) readLog(ctx context.Context, log *maintain.Log, note func(id, job string, sequence uint64)) (map[string]uint64, error) {
	heads := map[string]uint64{}
	for _, job := range t.jobs {
		records, err := readJob(ctx, log, job)
		for errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrIncomplete) {
			if waited := wait.For(ctx, 100*time.Millisecond); waited != nil {
				return nil, errors.Join(err, waited)
			}
			records, err = readJob(ctx, log, job)
		}
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			note(r.ID, r.JobID, r.Sequence)
			heads[job] = r.Sequence
		}
	}
	return heads, nil
}

// readJob reads a job up to its last sequence according to the leader; the pages may come
// from a replica that lags.
func readJob(ctx context.Context, log *maintain.Log, job string) ([]messaging.Record, error) {
	head, err := log.LastSequence(ctx, job)
	if err != nil {
		return nil, err
	}
	var all []messaging.Record
	for after := uint64(0); after < head; {
		records, err := log.ReadAfter(ctx, job, after, pageLength)
		if err != nil {
			return nil, err
		}
		if len(records) == 0 {
			if err := wait.For(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
			continue
		}
		all = append(all, records...)
		after = records[len(records)-1].Sequence
	}
	return all, nil
}

// readMongo waits until the projections have the whole log, and records the documents.
func (t *Trial) readMongo(ctx context.Context, log *maintain.Log) error {
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	db, err := projections.Connect(t.mongoURI())
	if err != nil {
		return err
	}
	defer func() { _ = db.Client().Disconnect(context.WithoutCancel(ctx)) }()
	// One query for all jobs, because FerretDB reads the whole collection for each query.
	// Documents of other epochs are not served.
	cursor, err := db.Collection(historyCollection).Find(ctx, map[string]any{"jobId": map[string]any{"$in": t.jobs}})
	if err != nil {
		return fmt.Errorf("read %s: %w", historyCollection, err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	for cursor.Next(ctx) {
		var document struct {
			JobID    string `bson:"jobId"`
			EventID  string `bson:"eventId"`
			Epoch    string `bson:"epoch"`
			Sequence int64  `bson:"sequence"`
		}
		if err := cursor.Decode(&document); err != nil {
			return fmt.Errorf("read %s: %w", historyCollection, err)
		}
		if document.Epoch == log.Epoch() {
			t.Journal.Projected(document.EventID, document.JobID, uint64(document.Sequence))
		}
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("read %s: %w", historyCollection, err)
	}
	return nil
}

// AwaitProjected waits until every projection has acknowledged the records that the log has
// now. It also waits for a projection that the gateway has not re-created yet after the log
// was replaced.
func (t *Trial) AwaitProjected(ctx context.Context, log *maintain.Log) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	target, lag := uint64(math.MaxUint64), uint64(0)
	for {
		state, err := log.State(ctx)
		if err == nil {
			target = min(target, state.Last) // as it was at first
			floor := target
			for _, name := range projections.Names() {
				acknowledged, failed := log.ConsumerFloor(ctx, name)
				floor, err = min(floor, acknowledged), errors.Join(err, failed)
			}
			if err == nil && floor >= target {
				return nil
			}
			lag = target - floor
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the projections are %s records behind: %w", strconv.FormatUint(lag, 10), ctx.Err()), err)
		}
	}
}
