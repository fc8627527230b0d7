package server

import (
	"sync"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
)

// reloads is what a reload changes. The zero value changes nothing yet.
type reloads struct {
	mu sync.Mutex // guards the fields below
	// inForce are the settings of the last reload, or nil before the first.
	inForce *config.Config
	gateway *gateway.Gateway // nil without the role, and before the start
}

func (r *reloads) serve(gateway *gateway.Gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gateway = gateway
}

// Reload applies settings to the application that runs, and logs what has changed and
// what takes a restart. Connections stay. The settings are valid, and LOG_LEVEL is the
// caller's to apply. A certificate that cannot be read leaves the one before in use.
func (a *App) Reload(next config.Config) {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	before := a.cfg
	if a.reloads.inForce != nil {
		before = *a.reloads.inForce
	}
	origins, err := next.AllowedOrigins()
	if err != nil {
		a.logger.Error("the settings are not reloaded, and nothing is changed", "error", err)
		return
	}
	if a.reloads.gateway != nil {
		a.reloads.gateway.SetOrigins(origins)
	}
	for _, name := range config.Changes(before, next) {
		if config.Reloadable(name) {
			a.logger.Info("a setting was changed", "setting", name)
		} else {
			a.logger.Warn("a setting takes a restart, and is not changed", "setting", name)
		}
	}
	if a.certificate != nil {
		switch changed, err := a.certificate.Reload(); {
		case err != nil:
			a.logger.Error("the new certificate cannot be used; the one before stays in use", "error", err)
		case changed:
			a.logger.Info("the certificate was replaced")
		}
	}
	a.reloads.inForce = &next
	a.logger.Info("the settings are reloaded")
}
