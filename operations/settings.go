package operations

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
)

// LogSettings returns the settings of the log and of the sessions beside it.
func (o *Operator) LogSettings(ctx context.Context) (eventstore.Settings, error) {
	log, err := o.log(ctx)
	if err != nil {
		return eventstore.Settings{}, err
	}
	return log.AllSettings(ctx)
}

// ConsiderSettings returns what other settings would delete from the log, and the streams
// beside it that would get another number of replicas.
func (o *Operator) ConsiderSettings(ctx context.Context, wanted eventstore.Settings) (loss maintain.Loss, replicated []string, err error) {
	log, err := o.log(ctx)
	if err != nil {
		return loss, nil, err
	}
	if loss, err = log.Consider(ctx, wanted); err != nil {
		return loss, nil, err
	}
	replicated, err = log.Uneven(ctx, wanted.Replicas)
	return loss, replicated, err
}

// ChangeSettings changes the settings of the log, and records who did so.
func (o *Operator) ChangeSettings(ctx context.Context, by string, wanted eventstore.Settings) error {
	log, err := o.log(ctx)
	if err != nil {
		return err
	}
	return log.Change(ctx, by, wanted)
}

// SettingsChanges returns the changes of the log's settings, oldest first.
func (o *Operator) SettingsChanges(ctx context.Context) ([]maintain.Change, error) {
	trail, err := audit.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return nil, err
	}
	return maintain.Changes(ctx, trail)
}

// Reloads returns which settings gateways have changed while they ran, oldest first.
func (o *Operator) Reloads(ctx context.Context) ([]audit.Reload, error) {
	trail, err := audit.New(o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return nil, err
	}
	return trail.Reloads(ctx)
}
