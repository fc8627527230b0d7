package config

import (
	"fmt"

	"github.com/letswriteabook/realtime/internal/token"
)

// Tokens returns what verifies tokens; needed is false when clients need none.
func (c Config) Tokens() (settings token.Config, needed bool, err error) {
	if !c.WithTokens() {
		return settings, false, nil
	}
	settings = token.DefaultConfig()
	settings.JWKSURL, settings.HMACSecret = c.JWKSURL, []byte(c.HMACSecret)
	settings.Issuer, settings.Audience = c.TokenIssuer, c.TokenAudience
	if err := settings.Validate(); err != nil {
		return settings, false, fmt.Errorf("%w: AUTH_*: %w", ErrInvalid, err)
	}
	return settings, true, nil
}
