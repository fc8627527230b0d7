package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/letswriteabook/realtime/guardrails"
)

// Changes returns the names of the settings whose values differ.
func Changes(from, to Config) (names []string) {
	a, b := reflect.ValueOf(from), reflect.ValueOf(to)
	for _, field := range settingFields() {
		if !reflect.DeepEqual(a.FieldByIndex(field.Index).Interface(), b.FieldByIndex(field.Index).Interface()) {
			names = append(names, field.Tag.Get("env"))
		}
	}
	return names
}

// reloadable are the settings that a reload applies. The others take a restart.
var reloadable = []string{"LOG_LEVEL", "SOCKET_CLIENT_ORIGIN", "PUBLIC_URL", "SOCKET_REQUIRE_ORIGIN"}

// Reloadable reports whether a reload applies a setting.
func Reloadable(name string) bool { return slices.Contains(reloadable, name) }

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
