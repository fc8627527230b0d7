package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// An error says once that the settings are invalid, whichever check has found it.
func TestInvalidSettingsAreSaidOnce(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string]map[string]string{
		"a name":      {"GATEWAY_NAME": "edge 7"},
		"a number":    {"PORT": "x"},
		"a catalogue": {"CATALOGUE_FILE": "/nonexistent/kinds.json"},
		"origins":     {"SOCKET_CLIENT_ORIGIN": "nonsense"},
		"tokens":      {"AUTH_HMAC_SECRET": "short", "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime"},
		"files":       {"TLS_CERT_FILE": "/nonexistent/cert.pem", "TLS_KEY_FILE": "/nonexistent/key.pem"},
	} {
		_, err := config.Load(environ)
		if !errors.Is(err, config.ErrInvalid) || strings.Count(err.Error(), config.ErrInvalid.Error()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
