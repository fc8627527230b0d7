package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/token"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	const published = "https://issuer.test/keys"
	tests := []struct {
		name   string
		change func(*token.Config)
		field  string // Empty when the configuration is good.
	}{
		{"published keys", func(*token.Config) {}, ""},
		{"a secret", func(c *token.Config) { c.JWKSURL, c.HMACSecret = "", hmacSecret }, ""},
		{"a secret needs no intervals", func(c *token.Config) {
			*c = token.Config{HMACSecret: hmacSecret, Issuer: issuerName, Audience: audience}
		}, ""},
		{"no keys", func(c *token.Config) { c.JWKSURL = "" }, "JWKSURL and HMACSecret are both empty"},
		{"both kinds of keys", func(c *token.Config) { c.HMACSecret = hmacSecret }, "JWKSURL and HMACSecret are both set"},
		{"a short secret", func(c *token.Config) { c.JWKSURL, c.HMACSecret = "", hmacSecret[:31] }, "HMACSecret has 31 bytes"},
		{"no issuer", func(c *token.Config) { c.Issuer = "" }, "Issuer"},
		{"no audience", func(c *token.Config) { c.Audience = "" }, "Audience"},
		{"leeway below zero", func(c *token.Config) { c.Leeway = -1 }, "Leeway"},
		{"no leeway", func(c *token.Config) { c.Leeway = 0 }, ""},
		{"the longest leeway", func(c *token.Config) { c.Leeway = 10 * time.Minute }, ""},
		{"a longer leeway", func(c *token.Config) { c.Leeway = 10*time.Minute + 1 }, "Leeway"},
		{"http", func(c *token.Config) { c.JWKSURL = "http://issuer.test/keys" }, "JWKSURL is http"},
		{"http, a name that looks like loopback", func(c *token.Config) { c.JWKSURL = "http://localhost.issuer.test/" }, "JWKSURL is http"},
		{"http, a user that looks like loopback", func(c *token.Config) { c.JWKSURL = "http://localhost@issuer.test/" }, "JWKSURL is http"},
		{"http on loopback by name", func(c *token.Config) { c.JWKSURL = "http://localhost:8080/keys" }, ""},
		{"http on loopback, IPv4", func(c *token.Config) { c.JWKSURL = "http://127.0.0.2/keys" }, ""},
		{"http on loopback, IPv6", func(c *token.Config) { c.JWKSURL = "http://[::1]:80/keys" }, ""},
		{"a file", func(c *token.Config) { c.JWKSURL = "file:///etc/keys" }, "JWKSURL"},
		{"another scheme", func(c *token.Config) { c.JWKSURL = "ftp://issuer.test/keys" }, "JWKSURL"},
		{"no host", func(c *token.Config) { c.JWKSURL = "https:///keys" }, "JWKSURL"},
		{"no URL", func(c *token.Config) { c.JWKSURL = "https://user:hunter2@issuer.test:port" }, "JWKSURL"},
		{"no interval", func(c *token.Config) { c.MinRefreshInterval = 0 }, "MinRefreshInterval"},
		{"intervals in the wrong order", func(c *token.Config) { c.RefreshInterval = c.MinRefreshInterval - 1 }, "RefreshInterval"},
		{"no timeout", func(c *token.Config) { c.FetchTimeout = 0 }, "FetchTimeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			cfg.JWKSURL = published
			test.change(&cfg)
			err := cfg.Validate()
			_, newErr := token.New(cfg, nil, nil)
			switch {
			case test.field == "" && (err != nil || newErr != nil):
				t.Errorf("refused: %v, %v", err, newErr)
			case test.field == "":
			case err == nil || newErr == nil:
				t.Errorf("accepted: %v, %v", err, newErr)
			case !strings.Contains(err.Error(), test.field):
				t.Errorf("%q does not name %q", err, test.field)
			case strings.Contains(err.Error(), "hunter2"):
				t.Errorf("%q holds a password", err)
			}
		})
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	cfg := config()
	cfg.HMACSecret = hmacSecret
	if _, err := token.New(cfg, nil, reg); err != nil {
		t.Fatal(err)
	}
	if _, err := token.New(cfg, nil, reg); err == nil {
		t.Error("a second verifier took the same names")
	}
}
