package server

import (
	"context"

	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/tracing"
)

// openTraces opens the export of traces, if the settings ask for it. It is stopped last, so
// that the spans of the stop are exported.
func (a *App) openTraces(ctx context.Context) error {
	cfg, on := a.cfg.Traces()
	if !on {
		return nil
	}
	cfg.Instance = a.name
	cfg.Version = buildinfo.Read().Version
	var err error
	if a.traces, err = tracing.New(ctx, cfg, a.logger, a.registry); err != nil {
		return err
	}
	a.parts.onStop("traces", func(ctx context.Context) error {
		if err := a.traces.Shutdown(ctx); err != nil { // which is no failure of the service
			a.logger.Warn("the last spans were not exported", "err", err)
		}
		return nil
	}).weight = closingWeight
	a.logger.Info("traces are exported", "protocol", cfg.Protocol, "url", address.Shown(cfg.URL), "sampler", cfg.Sampler, "ratio", cfg.Ratio)
	return nil
}
