package config

import (
	"fmt"
	"reflect"

	"github.com/letswriteabook/realtime/guardrails"
)

// Reloaded returns the settings of a gateway that runs with some and has read others: what
// a reload applies of these, and all else as it is. changed has the names of the settings
// that differ and are applied, and restart those that take a restart. The error is that of
// validating the result, without the files that only a start reads: they may have been
// removed, or replaced for the next start.
func Reloaded(inForce, read Config) (reloaded Config, changed, restart []string, err error) {
	reloaded = inForce
	reloaded.secretFiles = read.secretFiles
	from, to := reflect.ValueOf(read), reflect.ValueOf(&reloaded).Elem()
	for _, field := range settingFields() {
		before, after := to.FieldByIndex(field.Index), from.FieldByIndex(field.Index)
		name := field.Tag.Get("env")
		switch {
		case reflect.DeepEqual(before.Interface(), after.Interface()):
		case field.Tag.Get("reload") == "", name == "AUTH_HMAC_SECRET" && (before.IsZero() || after.IsZero()): // tokens are turned on or off
			restart = append(restart, name)
		default:
			before.Set(after)
			changed = append(changed, name)
		}
	}
	return reloaded, changed, restart, reloaded.validate(atReload)
}

// FromFiles reports whether anything of the settings is in a file that can change while
// the process runs, and that a reload reads.
func (c Config) FromFiles() bool {
	return c.SettingsFile != "" || c.TLSCert != "" || c.Catalogue != "" || len(c.secretFiles) > 0
}

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
