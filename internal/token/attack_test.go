package token_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/letswriteabook/realtime/internal/token"
)

// What refusals say, after the text of their sentinel.
const (
	saysMalformed = "it is no signed JWT"
	saysHeader    = "its header asks for what is not supported"
	saysAlgorithm = "its algorithm is not accepted, or not for its key"
	saysKey       = "its key is not among those of the issuer"
	saysAmbiguous = "it names no key, and the issuer has too many to try"
	saysSignature = "its signature does not fit"
	saysClaim     = "one of its claims has the wrong type or value"
	saysMissing   = "it must have the claims exp, aud and iss"
	saysIssuer    = "it is from another issuer"
	saysAudience  = "it is for another audience"
	saysEarly     = "it is not valid yet"
)

// none makes a token that is not signed.
func none(t *testing.T, header object) string {
	t.Helper()
	return sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, goodClaims())
}

func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	theirs := newPublisher(jwk("theirs", otherKey))
	attacker := httptest.NewServer(theirs)
	t.Cleanup(attacker.Close)

	shared := object{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString(hmacSecret)}
	b := withIssuer(t, newPublisher(
		jwk("rsa", rsaKey()), jwk("p384", p384Key()), jwk("ed", edKey), shared,
		with(jwk("pinned", rsaKey()), object{"alg": "RS256"}), jwk("weak", weakRSAKey()),
		with(jwk("encrypts", p256Key()), object{"use": "enc"}), with(jwk("signs", p256Key()), object{"key_ops": []string{"sign"}}),
	))
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	good := ed(t, goodClaims())
	header, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	edHeader := object{"alg": "EdDSA", "kid": "ed"}
	forged := func(changes object) string {
		return sign(t, jwt.SigningMethodEdDSA, otherKey, with(edHeader, changes), goodClaims())
	}
	hs := func(secret []byte, kid string) string {
		return sign(t, jwt.SigningMethodHS256, secret, object{"alg": "HS256", "kid": kid}, goodClaims())
	}
	tests := []struct {
		name, raw, says string
	}{
		{"not signed", none(t, object{"alg": "none"}), saysAlgorithm},
		{"not signed, with a key", none(t, object{"alg": "none", "kid": "ed"}), saysAlgorithm},
		{"not signed, in capitals", none(t, object{"alg": "NONE"}), saysAlgorithm},
		{"not signed, in both cases", none(t, object{"alg": "nOnE"}), saysAlgorithm},
		{"signature of another under none", segment(t, object{"alg": "none"}) + "." + body + "." + signature, saysAlgorithm},
		{"signature cut off", header + "." + body + ".", saysSignature},
		{"no algorithm", none(t, object{"kid": "ed"}), saysAlgorithm},
		{"algorithm is a number", none(t, object{"alg": 1}), saysAlgorithm},
		{"algorithm is nobody's", none(t, object{"alg": "HS1"}), saysAlgorithm},
		{"public key as a secret, DER", hs(der, "rsa"), saysAlgorithm},
		{"public key as a secret, PEM", hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "rsa"), saysAlgorithm},
		{"public key as a secret, modulus", hs(rsaKey().N.Bytes(), "rsa"), saysAlgorithm},
		{"public key as a secret, Ed25519", hs(edKey.Public().(ed25519.PublicKey), "ed"), saysAlgorithm},
		{"secret among the public keys", hs(hmacSecret, "oct"), saysAlgorithm},
		{"empty secret", hs([]byte{}, "ed"), saysAlgorithm},
		{"key of another type", sign(t, jwt.SigningMethodEdDSA, edKey, object{"alg": "EdDSA", "kid": "rsa"}, goodClaims()), saysAlgorithm},
		{"curve of another algorithm", sign(t, jwt.SigningMethodES256, p256Key(), object{"alg": "ES256", "kid": "p384"}, goodClaims()), saysAlgorithm},
		{"algorithm that the key excludes", sign(t, jwt.SigningMethodPS256, rsaKey(), object{"alg": "PS256", "kid": "pinned"}, goodClaims()), saysAlgorithm},
		{"header of another algorithm", sign(t, jwt.SigningMethodRS256, rsaKey(), object{"alg": "PS256", "kid": "rsa"}, goodClaims()), saysSignature},
		{"RSA key that is too short", sign(t, jwt.SigningMethodRS256, weakRSAKey(), object{"alg": "RS256", "kid": "weak"}, goodClaims()), saysKey},
		{"key for encryption", sign(t, jwt.SigningMethodES256, p256Key(), object{"alg": "ES256", "kid": "encrypts"}, goodClaims()), saysKey},
		{"key not for verifying", sign(t, jwt.SigningMethodES256, p256Key(), object{"alg": "ES256", "kid": "signs"}, goodClaims()), saysKey},
		{"key of another issuer", forged(nil), saysSignature},
		{"no key named, signed by another", forged(object{"kid": nil}), saysSignature},
		{"key in the header", forged(object{"kid": nil, "jwk": jwk("theirs", otherKey)}), saysSignature},
		{"address of keys in the header", forged(object{"kid": "theirs", "jku": attacker.URL}), saysKey},
		{"address of a certificate in the header", forged(object{"x5u": attacker.URL}), saysSignature},
		{"key named by a path", forged(object{"kid": "../../../../dev/null"}), saysKey},
		{"key named by an address", forged(object{"kid": attacker.URL + "/keys"}), saysKey},
		{"key named by a file", forged(object{"kid": "file:///etc/passwd"}), saysKey},
		{"key named by a query", forged(object{"kid": "ed' OR '1'='1"}), saysKey},
		{"key named with a zero byte", forged(object{"kid": "ed\x00"}), saysKey},
		{"key named with a line end", forged(object{"kid": "ed\nlevel=ERROR"}), saysKey},
		{"key named in capitals", forged(object{"kid": "ED"}), saysKey},
		{"key named by nothing", forged(object{"kid": ""}), saysSignature},
		{"key named by a number", forged(object{"kid": 7}), saysHeader},
		{"key named by a list", forged(object{"kid": []string{"ed"}}), saysHeader},
		{"key named by null", sign(t, jwt.SigningMethodEdDSA, edKey, []byte(`{"alg":"EdDSA","kid":null}`), goodClaims()), saysHeader},
		{"something critical", sign(t, jwt.SigningMethodEdDSA, edKey, with(edHeader, object{"crit": []string{"exp"}}), goodClaims()), saysHeader},
		{"text not encoded", sign(t, jwt.SigningMethodEdDSA, edKey, with(edHeader, object{"b64": false, "crit": []string{"b64"}}), goodClaims()), saysHeader},
		{"logout token", sign(t, jwt.SigningMethodEdDSA, edKey, with(edHeader, object{"typ": "logout+jwt"}), goodClaims()), saysHeader},
		{"type is a number", sign(t, jwt.SigningMethodEdDSA, edKey, with(edHeader, object{"typ": 1}), goodClaims()), saysHeader},
		{"claims of another token", header + "." + segment(t, with(goodClaims(), object{"sub": "root"})) + "." + signature, saysSignature},
		{"line end in the signature", good[:len(good)-4] + "\n" + good[len(good)-4:], saysMalformed},
		{"padding", good + "==", saysMalformed},
		{"second encoding of the last byte", secondEncoding(good), saysMalformed},
		{"space before", " " + good, saysMalformed},
		{"scheme before", "Bearer " + good, saysMalformed},
		{"fourth part", good + ".", saysMalformed},
		{"five parts, encrypted", "a.b.c.d.e", saysMalformed},
		{"two parts", header + "." + body, saysMalformed},
		{"dots", "..", saysMalformed},
		{"garbage", strings.Repeat("\x00\xff", 100), saysMalformed},
		{"header is null", segment(t, []byte("null")) + "." + body + "." + signature, saysAlgorithm},
		{"header is a list", segment(t, []byte("[]")) + "." + body + "." + signature, saysMalformed},
		{"header is deep", segment(t, []byte(strings.Repeat("[", 5000))) + "." + body + "." + signature, saysMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b.requireRefused(t, test.raw, token.ErrInvalid, test.says)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		b.requireRefused(t, "", token.ErrMissing, "token is missing")
	})
	t.Cleanup(func() { // After the parallel cases.
		if n := theirs.count(); n != 0 {
			t.Errorf("an address in a token was asked %d times", n)
		}
	})
}

// secondEncoding returns the token with unused bits of its last character set,
// which a lenient decoder drops.
func secondEncoding(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + alphabet[last+1:last+2]
}

func TestTokensOfASharedSecretAreOfOneAlgorithm(t *testing.T) {
	t.Parallel()
	b := withSecret(t)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		b.requireRefused(t, sign(t, method, hmacSecret, object{"alg": method.Alg()}, goodClaims()), token.ErrInvalid, saysAlgorithm)
	}
	b.requireRefused(t, ed(t, goodClaims()), token.ErrInvalid, saysAlgorithm)
	b.requireRefused(t, none(t, object{"alg": "none"}), token.ErrInvalid, saysAlgorithm)
	b.requireRefused(t, sign(t, jwt.SigningMethodHS256, hmacSecret[:31], object{"alg": "HS256"}, goodClaims()), token.ErrInvalid, saysSignature)
	b.requireRefused(t, sign(t, jwt.SigningMethodHS256, []byte{}, object{"alg": "HS256"}, goodClaims()), token.ErrInvalid, saysSignature)
}

// A verifier has its own copy of the secret.
func TestTheSecretCannotBeChangedLater(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.HMACSecret = []byte(strings.Clone(string(hmacSecret)))
	b := newVerifier(t, cfg)
	clear(cfg.HMACSecret)
	b.requireAccepted(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, goodClaims()))
	b.requireRefused(t, sign(t, jwt.SigningMethodHS256, cfg.HMACSecret, object{"alg": "HS256"}, goodClaims()), token.ErrInvalid, saysSignature)
}

func TestClaimsThatAreRefused(t *testing.T) {
	t.Parallel()
	past, future := now.Add(-time.Hour).Unix(), now.Add(time.Hour).Unix()
	tests := []struct {
		name   string
		change object
		want   error
		says   string
	}{
		{"no expiry", object{"exp": nil}, token.ErrInvalid, saysMissing},
		{"no expiry but a later name", object{"exp": nil, "Exp": future}, token.ErrInvalid, saysMissing},
		{"expiry at zero", object{"exp": 0}, token.ErrInvalid, saysMissing},
		{"expiry in text", object{"exp": "9999999999"}, token.ErrInvalid, saysClaim},
		{"expiry below zero", object{"exp": -1}, token.ErrInvalid, saysClaim},
		{"expiry past the year 9999", object{"exp": 253402300800}, token.ErrInvalid, saysClaim},
		{"expiry past all computing", object{"exp": math.MaxFloat64}, token.ErrInvalid, saysClaim},
		{"expired", object{"exp": past}, token.ErrExpired, "token has expired"},
		{"expired, for another audience", object{"exp": past, "aud": "other"}, token.ErrInvalid, saysAudience},
		{"expired, of another issuer", object{"exp": past, "iss": "other"}, token.ErrInvalid, saysIssuer},
		{"expired before it was valid", object{"exp": past, "nbf": future}, token.ErrInvalid, saysEarly},
		{"no audience", object{"aud": nil}, token.ErrInvalid, saysMissing},
		{"no audience in a list", object{"aud": []string{}}, token.ErrInvalid, saysMissing},
		{"empty audience", object{"aud": ""}, token.ErrInvalid, saysMissing},
		{"another audience", object{"aud": "other"}, token.ErrInvalid, saysAudience},
		{"other audiences", object{"aud": []string{"other", audience + "/"}}, token.ErrInvalid, saysAudience},
		{"audience in capitals", object{"aud": "REALTIME"}, token.ErrInvalid, saysAudience},
		{"audience is a number", object{"aud": 7}, token.ErrInvalid, saysMissing},
		{"audience beside a number", object{"aud": []any{audience, 7}}, token.ErrInvalid, saysClaim},
		{"no issuer", object{"iss": nil}, token.ErrInvalid, saysMissing},
		{"another issuer", object{"iss": "https://issuer.test"}, token.ErrInvalid, saysIssuer},
		{"issuer is a list", object{"iss": []string{issuerName}}, token.ErrInvalid, saysClaim},
		{"not valid yet", object{"nbf": future}, token.ErrInvalid, saysEarly},
		{"never valid", object{"nbf": math.MaxFloat64}, token.ErrInvalid, saysClaim},
		{"validity in text", object{"nbf": "0"}, token.ErrInvalid, saysClaim},
		{"subject is a number", object{"sub": 7}, token.ErrInvalid, saysClaim},
		{"jobs are a number", object{"jobs": 7}, token.ErrInvalid, saysClaim},
		{"jobs are true", object{"jobs": true}, token.ErrInvalid, saysClaim},
		{"jobs are an object", object{"jobs": object{"job-1": true}}, token.ErrInvalid, saysClaim},
		{"one job is a list", object{"jobs": []any{"job-1", []string{"*"}}}, token.ErrInvalid, saysClaim},
		{"one job is null", object{"jobs": []any{"job-1", nil}}, token.ErrInvalid, saysClaim},
		{"scope is an object", object{"scope": object{}}, token.ErrInvalid, saysClaim},
		{"one scope is a number", object{"scopes": []any{7}}, token.ErrInvalid, saysClaim},
	}
	secret, public := withSecret(t), withIssuer(t, newPublisher(jwk("ed", edKey)))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			claims := with(goodClaims(), test.change)
			secret.requireRefused(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, claims), test.want, test.says)
			public.requireRefused(t, ed(t, claims), test.want, test.says)
		})
	}
	for name, raw := range map[string]string{
		"null":      `null`,
		"a list":    `[]`,
		"text":      `"sub"`,
		"cut off":   `{"iss":"` + issuerName + `"`,
		"overflows": `{"exp":1e400}`,
	} {
		t.Run("claims are "+name, func(t *testing.T) {
			t.Parallel()
			says := saysMalformed
			if name == "null" {
				says = saysMissing
			}
			secret.requireRefused(t, sign(t, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, []byte(raw)), token.ErrInvalid, says)
		})
	}
}
