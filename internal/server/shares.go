package server

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore/shares"
	"github.com/letswriteabook/realtime/fanout/gateway"
)

// startShares lets the gateways on one log know of each other's connections, if
// there are limits on all of them together.
func (a *App) startShares(gateway *gateway.Gateway) error {
	if a.cfg.MaxCluster == 0 && a.cfg.MaxClusterPer == 0 {
		return nil
	}
	pace := shares.DefaultConfig()
	pace.Replicas = a.log.Settings().Replicas
	exchange, err := shares.Open(a.log, pace, a.logger, a.registry)
	if err != nil {
		return err
	}
	a.loop("shares", func(ctx context.Context) error { return exchange.Run(ctx, gateway.Share, gateway.Others) })
	return nil
}
