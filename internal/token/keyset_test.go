package token_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/letswriteabook/realtime/internal/token"
)

// Of a set, keys that cannot be used are left out, and the others count.
func TestKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	point := jwk("p256", p256Key())
	tests := []struct {
		name string
		key  any
	}{
		{"no key", 7},
		{"null", nil},
		{"nothing in it", object{}},
		{"no type", with(jwk("ed", edKey), object{"kty": nil})},
		{"a type of tomorrow", object{"kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA"}},
		{"a secret", object{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(hmacSecret)}},
		{"a curve of tomorrow", with(jwk("ed", edKey), object{"crv": "Ed448"})},
		{"a key for agreement", with(jwk("ed", edKey), object{"crv": "X25519"})},
		{"a point that is not on the curve", with(point, object{"x": point["y"]})},
		{"half a point", with(point, object{"y": nil})},
		{"a point of another curve", with(point, object{"crv": "P-384"})},
		{"a short Ed25519 key", with(jwk("ed", edKey), object{"x": "AAAA"})},
		{"no base64", with(jwk("ed", edKey), object{"x": "!!!"})},
		{"a short RSA key", jwk("rsa", weakRSAKey())},
		{"a giant RSA key", with(jwk("rsa", rsaKey()), object{"n": strings.Repeat("_", 8200/6+1)})},
		{"an RSA key with exponent 1", with(jwk("rsa", rsaKey()), object{"e": "AQ"})},
		{"an RSA key with a giant exponent", with(jwk("rsa", rsaKey()), object{"e": strings.Repeat("_", 40)})},
		{"an RSA key with modulus 0", with(jwk("rsa", rsaKey()), object{"n": "AA"})},
		{"for encryption", with(jwk("ed", edKey), object{"use": "enc"})},
		{"for a use of tomorrow", with(jwk("ed", edKey), object{"use": "tls"})},
		{"for signing only", with(jwk("ed", edKey), object{"key_ops": []string{"sign"}})},
		{"for an algorithm that is not accepted", with(jwk("ed", edKey), object{"alg": "none"})},
		{"for an algorithm of another type", with(jwk("rsa", rsaKey()), object{"alg": "HS256"})},
		{"for another curve", with(point, object{"alg": "ES384"})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := must(json.Marshal(object{"keys": []any{test.key, jwk("ed", edKey)}}))
			usable, unusable, err := token.ParseKeySet(raw)
			if usable != 1 || unusable != 1 || err != nil {
				t.Errorf("%d usable, %d not, %v", usable, unusable, err)
			}
		})
	}
}

func TestKeysThatCanBeUsed(t *testing.T) {
	t.Parallel()
	key := jwk("ed", edKey)
	private := with(key, object{"d": base64.RawURLEncoding.EncodeToString(edKey.Seed())})
	for name, key := range map[string]object{
		"for signatures":               with(key, object{"use": "sig", "key_ops": []string{"verify"}, "alg": "EdDSA"}),
		"with a private half":          private,
		"with a wrong private half":    with(key, object{"d": "AAAA"}),
		"with an address":              with(key, object{"x5u": "https://nobody.test/certificate"}),
		"with a certificate's remains": with(key, object{"x5c": []string{"AAAA"}, "x5t": "AAAA", "x5t#S256": "AAAA"}),
		"with members of tomorrow":     with(key, object{"new": object{"a": 1}}),
		"without a name":               with(key, object{"kid": nil}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withIssuer(t, newPublisher(key))
			b.requireAccepted(t, signedAs(t, edKey, ""))
		})
	}
}

// Two keys of one name are told apart by their algorithm, or both tried.
func TestKeysOfOneName(t *testing.T) {
	t.Parallel()
	b := withIssuer(t, newPublisher(jwk("1", rsaKey()), jwk("1", otherKey), jwk("1", edKey)))
	b.requireAccepted(t, signedAs(t, edKey, "1"))
	b.requireAccepted(t, signedAs(t, otherKey, "1"))
	b.requireAccepted(t, sign(t, jwt.SigningMethodRS256, rsaKey(), object{"alg": "RS256", "kid": "1"}, goodClaims()))
	b.requireRefused(t, sign(t, jwt.SigningMethodES256, p256Key(), object{"alg": "ES256", "kid": "1"}, goodClaims()), token.ErrInvalid, saysAlgorithm)
}
