package server

import (
	"net/http"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/deadletters"
	"github.com/letswriteabook/realtime/projections"
)

// openAPI makes the operators' API on what is open.
func (a *App) openAPI() (err error) {
	deps := admin.Deps{
		Log: maintain.Of(a.log), Trail: audit.Beside(a.log.Client()),
		Rules:    deadletters.Rules{Catalogue: a.catalogue, MaxEventBytes: a.cfg.MaxEvent},
		Settings: func() []config.Setting { return a.settings().Settings() }, Revocations: a.revocations, Logger: a.logger,
	}
	if a.cfg.MongoDBURI != "" {
		deps.Projections = projections.Names()
	}
	if a.ingest != nil {
		deps.Publish = a.health.admitUnlessDraining(http.HandlerFunc(a.ingest.ServePublish))
	}
	a.api, err = admin.New(deps, func() admin.Access {
		cfg := a.settings()
		return admin.Access{
			OperateToken: cfg.InternalToken, ReadToken: cfg.ReadToken, ReadOnly: cfg.ReadOnly,
			Reached: a.admin != nil, Local: cfg.TrustsLocal(),
		}
	})
	return err
}
