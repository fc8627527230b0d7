package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/letswriteabook/realtime/guardrails"
)

// reloadable are the settings that a reload applies. The others take a restart.
var reloadable = []string{"LOG_LEVEL", "SOCKET_CLIENT_ORIGIN", "PUBLIC_URL", "SOCKET_REQUIRE_ORIGIN"}

// Reloaded returns the settings that are in effect once a reload has applied others to
// c, the names of those that it changes, and of those that differ and take a restart.
func (c Config) Reloaded(next Config) (inEffect Config, changed, restart []string) {
	inEffect = c
	to, from := reflect.ValueOf(&inEffect).Elem(), reflect.ValueOf(next)
	for _, field := range settingFields() {
		name, now, then := field.Tag.Get("env"), to.FieldByIndex(field.Index), from.FieldByIndex(field.Index)
		switch {
		case reflect.DeepEqual(now.Interface(), then.Interface()):
		case slices.Contains(reloadable, name):
			now.Set(then)
			changed = append(changed, name)
		default:
			restart = append(restart, name)
		}
	}
	return inEffect, changed, restart
}

// FromFiles reports whether anything of the settings is in a file that can change while
// the process runs, and that a reload reads.
func (c Config) FromFiles() bool { return c.SettingsFile != "" || c.TLSCert != "" }

// AllowedOrigins returns the origins that may connect.
func (c Config) AllowedOrigins() (guardrails.Origins, error) {
	origins, err := guardrails.ParseOrigins(c.Origins, c.NeedOrigin)
	if err != nil {
		return origins, fmt.Errorf("%w: SOCKET_CLIENT_ORIGIN: %w", ErrInvalid, err)
	}
	if origins, err = origins.WithOwn(c.PublicURL); err != nil {
		return origins, fmt.Errorf("%w: PUBLIC_URL: %w", ErrInvalid, err)
	}
	return origins, nil
}
