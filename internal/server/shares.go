package server

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore/shares"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/guardrails"
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
	own := func() shares.Share {
		total, perOrigin := gateway.Share()
		return shares.Share{Total: total, PerOrigin: perOrigin}
	}
	others := func(share shares.Share) {
		gateway.Others(guardrails.Share{Total: share.Total, PerOrigin: share.PerOrigin})
	}
	a.loop("shares", func(ctx context.Context) error { return exchange.Run(ctx, own, others) })
	return nil
}
