package token_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/letswriteabook/realtime/internal/token"
)

func TestEveryAlgorithmIsAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method jwt.SigningMethod
		key    any
		kid    string
	}{
		{jwt.SigningMethodRS256, rsaKey(), "rsa"},
		{jwt.SigningMethodRS384, rsaKey(), "rsa"},
		{jwt.SigningMethodRS512, rsaKey(), "rsa"},
		{jwt.SigningMethodPS256, rsaKey(), "rsa"},
		{jwt.SigningMethodPS384, rsaKey(), "rsa"},
		{jwt.SigningMethodPS512, rsaKey(), "rsa"},
		{jwt.SigningMethodES256, p256Key(), "p256"},
		{jwt.SigningMethodES384, p384Key(), "p384"},
		{jwt.SigningMethodES512, p521Key(), "p521"},
		{jwt.SigningMethodEdDSA, edKey, "ed"},
	}
	b := withIssuer(t, newPublisher(
		jwk("rsa", rsaKey()), jwk("p256", p256Key()), jwk("p384", p384Key()), jwk("p521", p521Key()), jwk("ed", edKey),
	))
	for _, test := range tests {
		t.Run(test.method.Alg(), func(t *testing.T) {
			t.Parallel()
			named := object{"alg": test.method.Alg(), "kid": test.kid}
			b.requireAccepted(t, sign(t, test.method, test.key, named, goodClaims()))
			unnamed := object{"alg": test.method.Alg()}
			b.requireAccepted(t, sign(t, test.method, test.key, unnamed, goodClaims()))
		})
	}
	t.Run("HS256", func(t *testing.T) {
		t.Parallel()
		b := withSecret(t)
		b.requireAccepted(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, goodClaims()))
		b.requireAccepted(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256", "kid": "any"}, goodClaims()))
	})
}

func TestTypesOfBearerTokens(t *testing.T) {
	t.Parallel()
	b := withSecret(t)
	for _, typ := range []string{"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"} {
		b.requireAccepted(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256", "typ": typ}, goodClaims()))
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	until := now.Add(time.Hour + token.DefaultConfig().Leeway)
	bare := with(goodClaims(), object{"jobs": nil, "scope": nil, "sub": nil})
	tests := []struct {
		name   string
		claims object
		want   token.Claims
	}{
		{"as given", goodClaims(), token.Claims{
			Subject: "reader-7", Jobs: []string{"job-1", "draft-*"}, Scopes: []string{"read", "publish"}, ExpiresAt: until,
		}},
		{"nothing more than is required", bare, token.Claims{ExpiresAt: until}},
		{"jobs in a string", with(bare, object{"jobs": "job-1  draft-* "}), token.Claims{
			Jobs: []string{"job-1", "draft-*"}, ExpiresAt: until,
		}},
		{"a job with a space", with(bare, object{"jobs": []string{"job 1", "", "x"}}), token.Claims{
			Jobs: []string{"job 1", "x"}, ExpiresAt: until,
		}},
		{"no job", with(bare, object{"jobs": []string{}}), token.Claims{ExpiresAt: until}},
		{"an empty string of jobs", with(bare, object{"jobs": ""}), token.Claims{ExpiresAt: until}},
		{"scopes in an array", with(bare, object{"scopes": []string{"read", "publish"}}), token.Claims{
			Scopes: []string{"read", "publish"}, ExpiresAt: until,
		}},
		{"scope and scopes", with(bare, object{"scope": "read", "scopes": []string{"publish"}}), token.Claims{
			Scopes: []string{"read", "publish"}, ExpiresAt: until,
		}},
		{"one of several audiences", with(bare, object{"aud": []string{"other", audience}}), token.Claims{ExpiresAt: until}},
		{"an expiry with a fraction", with(bare, object{"exp": float64(now.Unix()+3600) + 0.75}), token.Claims{ExpiresAt: until}},
		{"an expiry far away", with(bare, object{"exp": 253402300799}), token.Claims{
			ExpiresAt: time.Unix(253402300799, 0).Add(token.DefaultConfig().Leeway),
		}},
		{"names are compared exactly", with(bare, object{"EXP": 1, "Aud": "other", "SUB": "root", "Jobs": "all", "Scope": "publish"}), token.Claims{
			ExpiresAt: until,
		}},
	}
	b := withSecret(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, test.claims)
			got := b.requireAccepted(t, raw)
			if !got.ExpiresAt.Equal(test.want.ExpiresAt) {
				t.Errorf("expires at %s, want %s", got.ExpiresAt, test.want.ExpiresAt)
			}
			if got.Subject != test.want.Subject || !slices.Equal(got.Jobs, test.want.Jobs) || !slices.Equal(got.Scopes, test.want.Scopes) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// The limits of the validity, to the second, with and without a leeway; what
// ExpiresAt says is what Verify does.
func TestValidityHasExactLimits(t *testing.T) {
	t.Parallel()
	for _, leeway := range []time.Duration{0, 30 * time.Second} {
		b := withSecret(t, func(cfg *token.Config) { cfg.Leeway = leeway })
		exp, nbf := now.Add(time.Minute), now.Add(-time.Minute)
		raw := sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"},
			with(goodClaims(), object{"exp": exp.Unix(), "nbf": nbf.Unix()}))
		tests := []struct {
			name string
			at   time.Time
			want error
		}{
			{"too early", nbf.Add(-leeway - time.Nanosecond), token.ErrInvalid},
			{"first moment", nbf.Add(-leeway), nil},
			{"last moment", exp.Add(leeway - time.Nanosecond), nil},
			{"too late", exp.Add(leeway), token.ErrExpired},
		}
		for _, test := range tests {
			claims, err := b.Verify(raw, test.at)
			if !errors.Is(err, test.want) {
				t.Errorf("leeway %s, %s: got %v, want %v", leeway, test.name, err, test.want)
			}
			if err == nil && !claims.ExpiresAt.Equal(exp.Add(leeway)) {
				t.Errorf("leeway %s: expires at %s, want %s", leeway, claims.ExpiresAt, exp.Add(leeway))
			}
		}
	}
}

func TestTheLengthHasAnExactLimit(t *testing.T) {
	t.Parallel()
	b := withSecret(t)
	b.requireAccepted(t, ofLength(t, token.MaxTokenBytes-1))
	b.requireAccepted(t, ofLength(t, token.MaxTokenBytes))
	b.requireRefused(t, ofLength(t, token.MaxTokenBytes+1), token.ErrInvalid, "longer than 8192 bytes")
	b.requireRefused(t, ofLength(t, 1<<20), token.ErrInvalid, "longer than 8192 bytes")
}

// ofLength returns a good token of exactly that many bytes.
func ofLength(t *testing.T, size int) string {
	t.Helper()
	padded := func(header, claims int) string {
		return sign(t, jwt.SigningMethodHS256, hmacSecret,
			object{"alg": "HS256", "pad": strings.Repeat("x", header)},
			with(goodClaims(), object{"pad": strings.Repeat("x", claims)}))
	}
	room := (size - len(padded(0, 0))) * 3 / 4
	for header := range 4 { // One part alone cannot have every length in base64.
		for claims := room - 8; claims <= room+2; claims++ {
			if raw := padded(header, claims); len(raw) == size {
				return raw
			}
		}
	}
	t.Fatalf("found no token of %d bytes", size)
	return ""
}
