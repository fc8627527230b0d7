package server

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
)

// openSessions starts the store of sessions, if they are to be recovered, and returns for
// how long they can be: the store is shared with all gateways, and keeps what it has.
func (a *App) openSessions(ctx context.Context) (gateway.Sessions, time.Duration, error) {
	if a.cfg.RecoveryTTL == 0 {
		return nil, 0, nil
	}
	limits := sessions.DefaultConfig()
	limits.TTL = config.SessionTTL(a.cfg.RecoveryTTL)
	limits.Replicas = a.log.Settings().Replicas
	sessions, err := sessions.Open(ctx, a.log, limits, a.logger, a.registry)
	if err != nil {
		return nil, 0, err
	}
	a.parts.run("session store", sessions.Run).weight = storeWeight
	recovery := a.cfg.RecoveryTTL
	if ttl := sessions.TTL(); ttl != limits.TTL {
		a.logger.Warn("the log keeps its own settings; realtime log set changes them", "difference", fmt.Sprintf(
			"SOCKET_RECOVERY_TTL: sessions of the log can be recovered for %s, the settings of this process say %s", config.RecoveryTTL(ttl), recovery))
		if ttl > 0 {
			recovery = config.RecoveryTTL(ttl)
		}
	}
	return sessions, recovery, nil
}
