package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/letswriteabook/realtime/internal/token"
)

// TestSetSecret: a secret that is replaced counts no longer, and the new one does.
func TestSetSecret(t *testing.T) {
	t.Parallel()
	before, after := []byte("a shared secret of 32 bytes: one."), []byte("a shared secret of 32 bytes: two.")
	cfg := token.DefaultConfig()
	cfg.HMACSecret, cfg.Issuer, cfg.Audience = before, "issuer", "audience"
	verifier, err := token.New(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signed := func(secret []byte) string {
		return sign(t, jwt.SigningMethodHS256, secret, object{"alg": "HS256", "typ": "JWT"}, object{"iss": "issuer", "aud": "audience", "sub": "someone", "exp": now.Add(time.Hour).Unix()})
	}
	if _, err := verifier.Verify(signed(before), now); err != nil {
		t.Errorf("before: %v", err)
	}
	verifier.SetSecret(after)
	after[0]++ // the verifier has a copy
	if _, err := verifier.Verify(signed(before), now); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("the secret before: %v", err)
	}
	after[0]--
	if _, err := verifier.Verify(signed(after), now); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}
