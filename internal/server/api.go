package server

import (
	"context"
	"net/http"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/deadletters"
	"github.com/letswriteabook/realtime/operations/work"
	"github.com/letswriteabook/realtime/projections"
)

// openAPI makes the operators' API on what is open.
func (a *App) openAPI() (err error) {
	deps := admin.Deps{
		Gateway: a.name,
		Log:     maintain.Of(a.log), Trail: audit.Beside(a.log.Client()),
		Rules:    deadletters.Rules{Catalogue: a.catalogue, MaxEventBytes: a.cfg.MaxEvent},
		Settings: func() []config.Setting { return a.settings().Settings() }, Revocations: a.revocations, Logger: a.logger,
		Metrics: a.registry, Version: buildinfo.Read().Version,
	}
	deps.Ask = func(ctx context.Context, question gateways.Question) (gateways.Answers, error) {
		if own := a.questions.Load(); own != nil {
			return own.Ask(ctx, question)
		}
		return gateways.Ask(ctx, a.log.Client(), question) // this process does not answer yet
	}
	if a.cfg.MongoDBURI != "" {
		deps.Projections = projections.Names()
	}
	if a.ingest != nil {
		deps.Publish = a.health.admitUnlessDraining(http.HandlerFunc(a.ingest.ServePublish))
	}
	operations, err := lease.New(a.nats.Conn(), a.nats.Domain())
	if err != nil {
		return err
	}
	if a.work, err = a.openWork(operations.Check); err != nil {
		return err
	}
	deps.Work = a.work
	deps.Operations = operations.List
	a.api, err = admin.New(deps, func() admin.Access {
		cfg := a.settings()
		return admin.Access{
			Granted:      a.adminGrant(cfg.ReadScope, cfg.OperateScope),
			OperateToken: cfg.InternalToken, ReadToken: cfg.ReadToken, ReadOnly: cfg.ReadOnly,
			Reached: a.admin != nil, Local: cfg.TrustsLocal(),
		}
	})
	return err
}

// openWork returns what does the long work of operators. free checks the lease of a target.
func (a *App) openWork(free func(ctx context.Context, target string) error) (*work.Runner, error) {
	record, err := lease.NewRecord(a.nats.Conn(), a.nats.Domain(), a.name)
	if err != nil {
		return nil, err
	}
	return work.New(work.Config{
		Record: record, Free: free,
		Operator: func(by string) *operations.Operator {
			return operations.On(a.nats, *a.settings(), by+", at the gateway "+a.name, a.logger)
		},
		Guard: a.guard, Ended: func(ctx context.Context, ended lease.Work) { a.api.NoteEnd(ctx, ended) }, Logger: a.logger,
	}), nil
}
