package config_test

import (
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// Being on this machine counts only where none of the settings of a deployment is set,
// and what no client can reach then is logged with the setting that opens it.
func TestLocalTrustEndsWithTheFirstSetting(t *testing.T) {
	t.Parallel()
	const token, admin, production = "a token of the test", "127.0.0.1:9000", "production"
	tests := []struct {
		name     string
		settings config.Config
		trusts   bool
		closed   int // sentences
	}{
		{name: "defaults", trusts: true},
		{name: "a token", settings: config.Config{InternalToken: token}},
		{name: "an address", settings: config.Config{AdminAddr: admin}, closed: 1},
		{name: "an address and tokens of an issuer", settings: config.Config{AdminAddr: admin, JWKSURL: "https://issuer.example"}},
		{name: "proxies", settings: config.Config{TrustedProxies: "10.0.0.0/8"}, closed: 2},
		{name: "a UNIX socket", settings: config.Config{Listen: "unix:/run/realtime.sock"}, closed: 2},
		{name: "HTTP/2 of a proxy", settings: config.Config{H2C: true}, closed: 2},
		{name: "production", settings: config.Config{Environment: production}, closed: 2},
		{name: "production with a token", settings: config.Config{Environment: production, InternalToken: token}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.settings.Roles = []string{config.RoleIngest, config.RoleProject, config.RoleFanout}
			if got := test.settings.TrustsLocal(); got != test.trusts {
				t.Errorf("trusts requests of this machine: %v", got)
			}
			if closed := test.settings.Closed(); len(closed) != test.closed {
				t.Errorf("says %q, want %d sentences", closed, test.closed)
			}
		})
	}
}
