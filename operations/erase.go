package operations

import (
	"context"
	"fmt"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/erasure"
)

// Erase removes a job for good or, in a dry run, returns what it would remove. resume is
// the command that finishes it after an interruption.
func (o *Operator) Erase(ctx context.Context, request erasure.Request, resume string, dryRun bool, report Report) (erasure.Result, error) {
	log, err := o.log(ctx)
	if err != nil {
		return erasure.Result{}, err
	}
	if dryRun {
		eraser, err := o.eraser(log, report)
		if err != nil {
			return erasure.Result{}, err
		}
		return eraser.Plan(ctx, request)
	}
	operation := lease.Operation{
		Target: TargetJob + request.JobID, Kind: "erase", Resume: resume,
	}
	var result erasure.Result
	err = o.during(ctx, operation, report, func(ctx context.Context, report Report) error {
		eraser, err := o.eraser(log, report)
		if err == nil {
			result, err = eraser.Erase(ctx, request)
		}
		return err
	})
	return result, err
}

func (o *Operator) eraser(log *maintain.Log, report Report) (*erasure.Eraser, error) {
	cfg := erasure.Config{
		Log: log, Audit: audit.Beside(log.Client()), Manifests: backup.Notes{}, Settle: hub.ErasureLease + hub.ErasureLease/5, Report: report,
		OverwriteAtMost: erasure.DefaultOverwriteAtMost,
	}
	if o.cfg.MongoDBURI != "" {
		models, err := o.models()
		if err != nil {
			return nil, err
		}
		cfg.Models = models
	}
	return erasure.New(cfg), nil
}

// prepareErasures records what has to be erased from a log that is about to be restored.
func prepareErasures(ctx context.Context, trail *audit.Trail, coming backup.Coming) ([]audit.Erasure, error) {
	record, _, err := trail.After(ctx, 0)
	if err != nil {
		return nil, err
	}
	events := coming.Events()
	restored := erasure.Restored{
		Epoch: coming.Epoch, PreviousEpoch: events.Epoch, Last: events.LastSequence, CreatedAt: coming.Manifest.CreatedAt,
	}
	for _, noted := range coming.Manifest.Erased {
		restored.Noted = append(restored.Noted, audit.Erasure{JobID: noted.JobID, By: noted.By, Reason: noted.Reason})
	}
	return erasure.New(erasure.Config{Audit: trail}).Prepare(ctx, restored, record)
}

// eraseAgain removes from a restored log what prepareErasures recorded.
func (o *Operator) eraseAgain(ctx context.Context, begun []audit.Erasure, report Report) error {
	log, err := o.log(ctx)
	if err != nil {
		return err
	}
	eraser, err := o.eraser(log, report)
	if err != nil {
		return err
	}
	if err := eraser.FinishAll(ctx, begun); err != nil {
		return fmt.Errorf("the log is restored and still holds jobs that were erased, which gateways do not show: %w; repeat realtime erase for what realtime audit list shows", err)
	}
	return nil
}

// Erasures returns the record of the erasures of one job, or of all when jobID is empty.
func (o *Operator) Erasures(ctx context.Context, jobID string) ([]audit.Erasure, error) {
	log, err := o.log(ctx)
	if err != nil {
		return nil, err
	}
	if jobID != "" {
		return audit.Beside(log.Client()).Of(ctx, jobID)
	}
	notes, _, err := audit.Beside(log.Client()).After(ctx, 0)
	return notes, err
}
