package server

import (
	"context"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/highwater"
)

// clusterTimeout is how long a gateway of NATS_CLUSTER waits for the others that it needs
// for a majority.
const clusterTimeout = 2 * time.Minute

// openLog connects to NATS, or starts it in this process, and opens the log.
func (a *App) openLog(ctx context.Context) error {
	var mark *highwater.File // nil where the log is not in this process
	a.parts.onStop("high-water mark", func(ctx context.Context) error {
		if mark == nil {
			return nil
		}
		return mark.Close(ctx)
	})
	nats, err := backends.OpenNATS(ctx, a.cfg, a.logger)
	if err != nil {
		return err
	}
	a.nats = nats
	if nats.Embedded() {
		a.parts.onStop("embedded JetStream", nats.Stop).weight = storeWeight
		a.health.checks = append(a.health.checks, check{part: "jetstream", required: true, ask: func(context.Context) error { return nats.Healthy() }})
	}
	conn := nats.Conn()
	closing := func(conn interface{ Close() }) func(context.Context) error {
		return func(context.Context) error {
			conn.Close()
			return nil
		}
	}
	a.parts.onStop("nats connection", closing(conn))
	reads, err := nats.Connect(ctx)
	if err != nil {
		return err
	}
	a.parts.onStop("nats connection for reading", closing(reads))
	limits := eventstore.DefaultConfig()
	limits.Domain = nats.Domain()
	limits.Replicas = a.cfg.LogReplicas
	limits.MaxBytes = a.cfg.LogMaxBytes
	limits.MaxAge = a.cfg.LogMaxAge
	limits.DuplicateWindow = a.cfg.DedupWindow
	limits.MaxEventBytes = a.cfg.MaxEvent
	if a.cfg.NATSCluster != "" {
		limits.OpenTimeout = clusterTimeout
	}
	limits.Needs = a.cfg.NeedsOfNATS()
	if a.log, err = eventstore.Open(ctx, conn, limits, a.logger, a.registry); err != nil {
		return err
	}
	a.log.ReadOn(reads)
	for _, difference := range a.log.Settings().Differences(limits) {
		a.logger.Warn("the log keeps its own settings; realtime log set changes them", "difference", difference)
	}
	if a.cfg.LogAlone() { // others of a cluster have what this folder lacks
		if mark, err = highwater.Open(a.cfg.DataDir); err != nil {
			return err
		}
		a.log.Keep(mark)
	}
	return nil
}

// warnOfSync warns of servers that acknowledge before a record is on disk. It takes two
// seconds at most, which the start does not wait for.
func (a *App) warnOfSync(ctx context.Context) error {
	risk, err := a.nats.SyncRisk(ctx)
	if risk != "" {
		a.logger.Warn("NATS servers acknowledge events before they are on disk; sync_interval: always in their configuration prevents a loss, see docs/ops/durability.md for its cost", "risk", risk)
	}
	if err != nil && ctx.Err() == nil {
		a.logger.Info("it is not known of all NATS servers when they write to disk; NATS_MONITORING_URL names their monitoring ports", "error", err)
	}
	return nil
}

// vouch compares the log with who keeps a high-water mark of it, before anything is
// appended. Who does not answer is asked again while the application runs.
func (a *App) vouch(ctx context.Context) {
	if a.models != nil {
		a.log.Keep(mongoKeeper{a.models})
	}
	if err := a.log.Vouch(ctx); err != nil {
		a.logger.Debug("the log was not compared with every high-water mark yet", "error", err)
	}
}
