package server

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/fanout/gateway"
)

// openSessions starts the store of sessions, if they are to be recovered. A
// session has to outlive the pause between two saves, and then the time to live.
func (a *App) openSessions(ctx context.Context) (gateway.Sessions, error) {
	if a.cfg.RecoveryTTL == 0 {
		return nil, nil
	}
	limits := eventstore.DefaultSessionsConfig()
	limits.TTL = a.cfg.RecoveryTTL * 3 / 2
	limits.Replicas = a.log.Settings().Replicas
	sessions, err := eventstore.OpenSessions(ctx, a.log, limits, a.logger, a.registry)
	if err != nil {
		return nil, err
	}
	a.parts.run("session store", sessions.Run).weight = storeWeight
	return sessions, nil
}
