package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// reloads is what a reload changes, beside the parts of the application. The zero value
// changes nothing yet.
type reloads struct {
	// inForce are the settings of the last reload, or nil before the first.
	inForce atomic.Pointer[config.Config]

	mu      sync.Mutex       // guards the fields below, and is held during a reload
	gateway *gateway.Gateway // nil without the role, and before the start
	// certificate is that of the public port; nil without TLS_CERT_FILE, and before the start.
	certificate *tlsfiles.Pair
}

// follow has reloads read the certificate of the public port again.
func (r *reloads) follow(certificate *tlsfiles.Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certificate = certificate
}

// serve has the gateway follow reloads, and applies what the last one has changed before
// the gateway was made.
func (r *reloads) serve(gateway *gateway.Gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gateway = gateway
	inForce := r.inForce.Load()
	if inForce == nil {
		return
	}
	_ = gateway.SetLimits(inForce.Limits()) // valid, as they were at the reload
	if origins, err := inForce.AllowedOrigins(); err == nil {
		gateway.SetOrigins(origins)
	}
}

// settings returns the settings of the last reload, or of the start, which nothing changes.
func (a *App) settings() *config.Config {
	if reloaded := a.reloads.inForce.Load(); reloaded != nil {
		return reloaded
	}
	return &a.cfg
}

// inForce returns a copy of the settings of the last reload, or of the start.
func (a *App) inForce() config.Config { return *a.settings() }

// warn logs what settings leave open, contradict or close.
func (a *App) warn(cfg *config.Config) {
	for _, warning := range cfg.Warnings() {
		a.logger.Warn(warning)
	}
	for _, closed := range cfg.Closed() {
		a.logger.Warn(closed)
	}
}

// ErrPartly is matched by the error of [App.Reload] after which some settings may be changed.
// A retry helps if the cause was of the moment.
var ErrPartly = errors.New("some settings may be changed")

// Reload applies settings that were read again to the application that runs, calls setLevel
// with the level of the log, and logs and audits what has changed and what takes a restart,
// with the warnings of the start. Connections stay. An error says why nothing is changed,
// unless it is [ErrPartly]. A certificate that cannot be read leaves the one before in use.
func (a *App) Reload(ctx context.Context, read config.Config, setLevel func(slog.Level)) error {
	err := a.guard.Do("reload", func() error { return a.reload(ctx, read, setLevel) })
	if errors.Is(err, contain.ErrPanic) {
		return fmt.Errorf("%w: %w", ErrPartly, err)
	}
	return err
}

func (a *App) reload(ctx context.Context, read config.Config, setLevel func(slog.Level)) error {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	next, changed, restart, err := config.Reloaded(a.inForce(), read)
	if err != nil {
		return err
	}
	catalogue, err := config.LoadCatalogue(next)
	if err != nil {
		return err
	}
	origins, err := next.AllowedOrigins()
	if err != nil {
		return err
	}
	if g := a.reloads.gateway; g != nil {
		if err := g.SetLimits(next.Limits()); err != nil {
			return err
		}
		g.SetOrigins(origins)
	}
	// Nothing fails from here on.
	if a.catalogue.Replace(catalogue) && !slices.Contains(changed, "CATALOGUE_FILE") {
		changed = append(changed, "CATALOGUE_FILE")
	}
	if a.tokens != nil && next.HMACSecret != "" {
		a.tokens.verifier.SetSecret([]byte(next.HMACSecret))
	}
	if a.ingest != nil {
		a.ingest.SetReceiptSecret(next.ReceiptSecret)
	}
	setLevel(next.Level())
	a.reloads.inForce.Store(&next)
	if a.reloadCertificate() {
		changed = append(changed, "TLS_CERT_FILE")
	}
	for _, name := range changed {
		a.logger.Info("a setting was changed", "setting", name)
	}
	for _, name := range restart {
		a.logger.Warn("a setting takes a restart, and is not changed", "setting", name)
	}
	a.warn(&next)
	if err := read.Validate(); err != nil { // files that a reload does not read are missing, or wrong
		a.logger.Warn("the next start would refuse the settings", "error", err)
	}
	a.logger.Info("the settings are reloaded")
	if len(changed) > 0 && a.log != nil { // which it is once the start has opened it
		a.auditReload(ctx, changed, restart)
	}
	return nil
}

// reloadCertificate reports whether the certificate is another one. The caller holds the lock
// of the reloads.
func (a *App) reloadCertificate() bool {
	if a.reloads.certificate == nil {
		return false
	}
	changed, err := a.reloads.certificate.Reload()
	if err != nil {
		a.logger.Error("the new certificate cannot be used; the one before stays in use", "error", err)
		return false
	}
	if changed {
		a.logger.Info("the certificate was replaced")
	}
	return changed
}

// auditReload adds the names of the settings to the audit trail.
func (a *App) auditReload(ctx context.Context, changed, restart []string) {
	note := audit.Reload{At: time.Now().UTC(), Gateway: a.name, Changed: changed, Restart: restart}
	if err := audit.Beside(a.log.Client()).NoteReload(ctx, note); err != nil {
		a.logger.Error("the reload is not in the audit trail", "error", err)
	}
}
