package token_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/letswriteabook/realtime/internal/token"
)

// FuzzVerify has two verifiers look at any text: nothing counts but the very
// tokens that were issued, and every refusal is one of a few fixed texts.
func FuzzVerify(f *testing.F) {
	b := fetchedOnce(f, newPublisher(jwk("ed", edKey)))
	secret := withSecret(f)
	public := ed(f, goodClaims())
	shared := sign(f, jwt.SigningMethodHS256, hmacSecret, object{"alg": "HS256"}, goodClaims())
	f.Add(public)
	f.Add(shared)
	f.Fuzz(func(t *testing.T, raw string) {
		requireVerdict(t, b, raw, public)
		requireVerdict(t, secret, raw, shared)
	})
}

// fetchedOnce returns a verifier that has the keys of the publisher and fetches
// no more, so that no token waits.
func fetchedOnce(t testing.TB, p *publisher) *bundle {
	t.Helper()
	b := unstarted(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()                         // Stopped by cancel.
	_, err := b.Verify(signedAs(t, otherKey, "nobody's"), now) // Waits for the keys.
	cancel()
	if runErr := <-done; runErr != nil || !errors.Is(err, token.ErrInvalid) {
		t.Fatalf("fetch keys: %v, %v", err, runErr)
	}
	return b
}

// requireVerdict requires that raw is the one token issued, or refused as it
// should be.
func requireVerdict(t *testing.T, b *bundle, raw, issued string) {
	t.Helper()
	claims, err := b.Verify(raw, now)
	switch {
	case err == nil && raw != issued:
		t.Fatalf("a forgery was accepted: %+v", claims)
	case err != nil && raw == issued:
		t.Fatalf("a genuine token was refused: %v", err)
	case err == nil:
		return
	}
	if errors.Is(err, token.ErrMissing) != (raw == "") {
		t.Fatalf("%d bytes: %v", len(raw), err)
	}
	if errors.Is(err, token.ErrExpired) || errors.Is(err, token.ErrUnavailable) {
		t.Fatalf("a forgery got as far as: %v", err)
	}
	if !refusalTexts[strings.TrimPrefix(err.Error(), token.ErrInvalid.Error()+": ")] {
		t.Fatalf("the refusal has a text of its own: %v", err)
	}
}

// refusalTexts are those that a token which was not issued can meet.
var refusalTexts = map[string]bool{
	token.ErrMissing.Error(): true, "it is longer than 8192 bytes": true,
	saysMalformed: true, saysHeader: true, saysAlgorithm: true, saysKey: true, saysSignature: true,
}

// FuzzSigned has the issuer sign any header and any claims: what is accepted has
// every claim that is required, by the reading of encoding/json.
func FuzzSigned(f *testing.F) {
	b := withSecret(f)
	f.Add(`{"alg":"HS256","typ":"JWT","kid":"1"}`, string(must(json.Marshal(goodClaims()))))
	f.Fuzz(func(t *testing.T, header, claims string) {
		raw := sign(t, jwt.SigningMethodHS256, hmacSecret, []byte(header), []byte(claims))
		got, err := b.Verify(raw, now)
		if err != nil {
			if !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrExpired) {
				t.Fatal(err)
			}
			return
		}
		read, says := object{}, object{}
		if err := errors.Join(json.Unmarshal([]byte(header), &read), json.Unmarshal([]byte(claims), &says)); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if read["alg"] != "HS256" || read["crit"] != nil {
			t.Fatalf("accepted the header %q", header)
		}
		audiences, isList := says["aud"].([]any)
		if says["iss"] != issuerName || says["aud"] != audience && !(isList && slices.Contains(audiences, any(audience))) {
			t.Fatalf("accepted the claims %q", claims)
		}
		exp, isNumber := says["exp"].(float64)
		if !isNumber || !got.ExpiresAt.After(now) || got.ExpiresAt.Unix() != int64(exp)+int64(token.DefaultConfig().Leeway/time.Second) {
			t.Fatalf("accepted until %s: %q", got.ExpiresAt, claims)
		}
		if slices.Contains(got.Jobs, "") || slices.Contains(got.Scopes, "") {
			t.Fatalf("an empty name in %+v", got)
		}
	})
}

// FuzzKeySet has any body read as a key set, and tokens verified with what was
// usable in it: no panic, and no token that was signed with other keys.
func FuzzKeySet(f *testing.F) {
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	tokens := []string{
		sign(f, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", 0)), object{"alg": "EdDSA"}, goodClaims()),
		sign(f, jwt.SigningMethodES256, p256Key(), object{"alg": "ES256"}, goodClaims()),
		sign(f, jwt.SigningMethodES384, p384Key(), object{"alg": "ES384"}, goodClaims()),
		sign(f, jwt.SigningMethodRS256, rsaKey(), object{"alg": "RS256"}, goodClaims()),
		sign(f, jwt.SigningMethodPS256, rsaKey(), object{"alg": "PS256"}, goodClaims()),
	}
	f.Fuzz(func(t *testing.T, body string) {
		usable, unusable, err := token.ParseKeySet([]byte(body))
		if err != nil {
			if usable != 0 || unusable != 0 {
				t.Fatalf("%d usable and %d not, with %v", usable, unusable, err)
			}
			return
		}
		p := newPublisher()
		p.answer(http.StatusOK, []byte(body))
		b := fetchedOnce(t, p)
		for _, raw := range tokens {
			if _, err := b.Verify(raw, now); !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("an unknown key accepts a token: %v", err)
			}
		}
	})
}

// FuzzFromRequest: what is taken for a token stands in the one Authorization header,
// after its scheme.
func FuzzFromRequest(f *testing.F) {
	f.Add("Bearer a.b.c", "")
	f.Add("bearer  a ", "Bearer b")
	f.Add("Basic a", "")
	f.Add("Bearer", "")
	f.Fuzz(func(t *testing.T, first, second string) {
		header := http.Header{"Authorization": {first}}
		if second != "" {
			header.Add("Authorization", second)
		}
		got := token.FromRequest(&http.Request{Header: header})
		switch {
		case got == "":
		case second != "", !strings.EqualFold(first[:min(len(first), 7)], "bearer "), strings.Trim(got, " ") != got, !strings.Contains(first, got):
			t.Fatalf("%q and %q: token %q", first, second, got)
		}
	})
}
