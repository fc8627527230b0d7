package token

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

// secret is the source for an issuer with a shared secret. It supports only HS256: the
// other algorithms need longer secrets without a benefit. It may be replaced while tokens
// are verified.
type secret struct{ current atomic.Pointer[[]byte] }

func newSecret(text []byte) *secret {
	s := new(secret)
	s.set(text)
	return s
}

// set replaces the secret with a copy of text.
func (s *secret) set(text []byte) {
	text = slices.Clone(text)
	s.current.Store(&text)
}

func (s *secret) algorithms() []string { return []string{jwt.SigningMethodHS256.Alg()} }

// find returns the secret, whatever the key id.
func (s *secret) find(_, _ string) ([]jwt.VerificationKey, error) {
	return []jwt.VerificationKey{*s.current.Load()}, nil
}

func (s *secret) run(ctx context.Context) { <-ctx.Done() }
