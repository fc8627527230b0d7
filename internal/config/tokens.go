package config

import (
	"bytes"
	"fmt"
	"os"

	"github.com/letswriteabook/realtime/internal/token"
)

// Tokens returns what verifies tokens; needed is false when clients need none.
func (c Config) Tokens() (settings token.Config, needed bool, err error) {
	secret, err := c.hmacSecret()
	if err != nil || len(secret) == 0 && c.JWKSURL == "" {
		return settings, false, err
	}
	settings = token.DefaultConfig()
	settings.JWKSURL, settings.HMACSecret = c.JWKSURL, secret
	settings.Issuer, settings.Audience = c.TokenIssuer, c.TokenAudience
	if err := settings.Validate(); err != nil {
		return settings, false, fmt.Errorf("%w: AUTH_*: %w", ErrInvalid, err)
	}
	return settings, true, nil
}

// hmacSecret returns the shared secret from the setting or its file.
func (c Config) hmacSecret() ([]byte, error) {
	if c.HMACSecretFile == "" {
		return []byte(c.HMACSecret), nil
	}
	secret, err := os.ReadFile(c.HMACSecretFile)
	if err != nil {
		return nil, fmt.Errorf("%w: AUTH_HMAC_SECRET_FILE: %w", ErrInvalid, err)
	}
	return bytes.TrimRight(secret, "\r\n"), nil
}
