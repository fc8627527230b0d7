package server

import (
	"context"
	"fmt"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/projections"
)

// What the commands about erasures take and show.
type (
	EraseRequest = erasure.Request
	EraseResult  = erasure.Result
	Erasure      = eventstore.Erasure
)

// ErrNothingToErase is what an erasure of a job that nobody knows ends with.
var ErrNothingToErase = erasure.ErrNothing

// UnfinishedErasures returns the jobs whose erasure has begun and is not done.
func UnfinishedErasures(notes []Erasure) []string { return erasure.Unfinished(notes) }

// Erase removes a job for good or, in a dry run, says what that would remove.
func (o *Operator) Erase(ctx context.Context, request EraseRequest, dryRun bool, report func(step string, done, total uint64)) (EraseResult, error) {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, o.app.registry)
	if err != nil {
		return EraseResult{}, err
	}
	if dryRun {
		eraser, err := o.eraser(log, report)
		if err != nil {
			return EraseResult{}, err
		}
		return eraser.Plan(ctx, request)
	}
	operation := Operation{
		Target: targetJob + request.JobID, Kind: "erase", Resume: eraseCommand(request),
	}
	var result EraseResult
	err = o.during(ctx, operation, report, func(ctx context.Context, noted func(string, uint64, uint64)) error {
		eraser, err := o.eraser(log, noted)
		if err == nil {
			result, err = eraser.Erase(ctx, request)
		}
		return err
	})
	return result, err
}

// eraseCommand returns the command of a request, which finishes it after an interruption.
func eraseCommand(request EraseRequest) string {
	command := fmt.Sprintf("realtime erase %q --reason %q", request.JobID, request.Reason)
	if request.Overwrite {
		command += " --overwrite"
	}
	for _, dir := range request.Backups {
		command += fmt.Sprintf(" --backup %q", dir)
	}
	return command
}

func (o *Operator) eraser(log *eventstore.Log, report func(step string, done, total uint64)) (*erasure.Eraser, error) {
	cfg := erasure.Config{
		Log: log, Audit: log.Audit(), Manifests: backup.Notes{}, Settle: hub.ErasureLease + hub.ErasureLease/5, Report: report,
		OverwriteAtMost: erasure.DefaultOverwriteAtMost,
	}
	if o.app.cfg.MongoDBURI != "" {
		db, err := openMongo(o.app.cfg, o.app.parts, o.app.logger)
		if err != nil {
			return nil, err
		}
		models, err := projections.New(db, projections.DefaultConfig(), o.app.logger, o.app.registry)
		if err != nil {
			return nil, err
		}
		cfg.Models = models
	}
	return erasure.New(cfg), nil
}

// prepareErasures notes what is to go from a log that is about to be restored.
func prepareErasures(ctx context.Context, audit *eventstore.Audit, coming backup.Coming) ([]Erasure, error) {
	record, _, err := audit.After(ctx, 0)
	if err != nil {
		return nil, err
	}
	events := coming.Events()
	restored := erasure.Restored{
		Epoch: coming.Epoch, PreviousEpoch: events.Epoch, Last: events.LastSequence, CreatedAt: coming.Manifest.CreatedAt,
	}
	for _, noted := range coming.Manifest.Erased {
		restored.Noted = append(restored.Noted, Erasure{JobID: noted.JobID, By: noted.By, Reason: noted.Reason})
	}
	return erasure.New(erasure.Config{Audit: audit}).Prepare(ctx, restored, record)
}

// eraseAgain removes from a restored log what was noted before it was there.
func (o *Operator) eraseAgain(ctx context.Context, begun []Erasure, report func(step string, done, total uint64)) error {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, o.app.registry)
	if err != nil {
		return err
	}
	eraser, err := o.eraser(log, report)
	if err != nil {
		return err
	}
	if err := eraser.FinishAll(ctx, begun); err != nil {
		return fmt.Errorf("the log is restored, and jobs that were erased are in it still, shown to nobody: %w; repeat realtime erase for what realtime audit list shows", err)
	}
	return nil
}

// Erasures returns what was noted of all jobs, or of one.
func (o *Operator) Erasures(ctx context.Context, jobID string) ([]Erasure, error) {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, o.app.registry)
	if err != nil {
		return nil, err
	}
	if jobID != "" {
		return log.Audit().Of(ctx, jobID)
	}
	notes, _, err := log.Audit().After(ctx, 0)
	return notes, err
}
