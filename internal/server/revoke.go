package server

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
)

// openRevocations reads what is revoked, before any token is checked.
func (a *App) openRevocations(ctx context.Context) (err error) {
	if a.tokens == nil {
		return nil
	}
	if a.revocations, err = revocations.Open(ctx, a.log, a.cfg.RevocationsKept, a.logger, a.registry); err != nil {
		return err
	}
	a.tokens.revoked = a.revoked
	return nil
}

// revoked reports whether the token of a grant counts no more.
func (a *App) revoked(grant guardrails.Grant) bool {
	return a.revocations != nil && a.revocations.Revoked(grant.Token.ID, grant.Token.KeyID, grant.Subject, grant.Token.IssuedAt)
}

// startRevocations follows what is revoked, and closes whom it concerns. The gateway is
// nil without its role.
func (a *App) startRevocations(gateway *gateway.Gateway) {
	if a.revocations == nil {
		return
	}
	a.loop("revocations", func(ctx context.Context) error {
		return a.revocations.Run(ctx, func() {
			if gateway == nil {
				return
			}
			if closed := gateway.CloseRevoked(); closed > 0 {
				a.logger.Info("clients were closed because their tokens were revoked", "clients", closed)
			}
		})
	})
}
