package server

import (
	"sync"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
)

// reloads is what a reload changes. The zero value has changed nothing yet.
type reloads struct {
	mu sync.Mutex // guards the fields below
	// inEffect are the settings as the last reload left them, those of the start among
	// them that take a restart; nil before the first.
	inEffect *config.Config
	gateway  *gateway.Gateway // nil without the role, and before the start
}

// serve has the gateway follow reloads, and applies what the last one has changed before
// the gateway was made.
func (r *reloads) serve(gateway *gateway.Gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gateway = gateway
	if r.inEffect == nil {
		return
	}
	if origins, err := r.inEffect.AllowedOrigins(); err == nil { // as it was at the reload
		gateway.SetOrigins(origins)
	}
}

// Reload applies settings to the application that runs, and logs what has changed in what
// is in effect, and what takes a restart. Connections stay. The settings are valid;
// LOG_LEVEL is the caller's to apply, unless Reload reports false because nothing was. A
// certificate that cannot be read leaves the one before in use.
func (a *App) Reload(next config.Config) (applied bool) {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	before := a.cfg
	if a.reloads.inEffect != nil {
		before = *a.reloads.inEffect
	}
	inEffect, changed, restart := before.Reloaded(next)
	origins, err := inEffect.AllowedOrigins()
	if err != nil {
		a.logger.Error("the settings are not reloaded, and nothing is changed", "error", err)
		return false
	}
	if a.reloads.gateway != nil {
		a.reloads.gateway.SetOrigins(origins)
	}
	a.reloads.inEffect = &inEffect
	for _, name := range changed {
		a.logger.Info("a setting was changed", "setting", name)
	}
	for _, name := range restart {
		a.logger.Warn("a setting takes a restart, and is not changed", "setting", name)
	}
	if a.certificate != nil {
		switch replaced, err := a.certificate.Reload(); {
		case err != nil:
			a.logger.Error("the new certificate cannot be used; the one before stays in use", "error", err)
		case replaced:
			a.logger.Info("the certificate was replaced")
		}
	}
	a.logger.Info("the settings are reloaded")
	return true
}
