package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrMissing is returned by [Verifier.Verify] when there is no token. A retry
	// needs one.
	ErrMissing = errors.New("token is missing")

	// ErrInvalid is returned by [Verifier.Verify] for a token that does not count
	// and, as far as is known, never will: it is malformed, not from this issuer,
	// not for this audience, or not signed with a key that is known. A retry with
	// the same token helps only if it is not valid yet.
	ErrInvalid = errors.New("token is invalid")

	// ErrExpired is returned by [Verifier.Verify] for a token that was good in
	// every other respect, and is too old. A retry needs a new one.
	ErrExpired = errors.New("token has expired")

	// ErrUnavailable is returned by [Verifier.Verify] when nothing can be said
	// about a token, because the keys of the issuer could not be fetched. A retry
	// helps once they are. It is no fault of the client.
	ErrUnavailable = errors.New("token cannot be verified now")

	// ErrRunning is returned by [Verifier.Run] when it is called a second time.
	ErrRunning = errors.New("token: verifier runs already, or has run")
)

// refusal is one way in which a token can fail. There is a fixed set of them,
// with fixed texts, so that no part of a token gets into a log or a label.
type refusal struct {
	is    error // A sentinel.
	label string
	text  string
}

// Error returns the sentinel's text and what was wrong.
func (r *refusal) Error() string {
	if r.text == "" {
		return r.is.Error()
	}
	return r.is.Error() + ": " + r.text
}

// Unwrap returns the sentinel.
func (r *refusal) Unwrap() error { return r.is }

var (
	refusedMissing     = &refusal{ErrMissing, "missing", ""}
	refusedLength      = &refusal{ErrInvalid, "length", fmt.Sprintf("it is longer than %d bytes", MaxTokenBytes)}
	refusedMalformed   = &refusal{ErrInvalid, "malformed", "it is no signed JWT"}
	refusedHeader      = &refusal{ErrInvalid, "header", "its header asks for what is not supported"}
	refusedAlgorithm   = &refusal{ErrInvalid, "algorithm", "its algorithm is not accepted, or not for its key"}
	refusedUnknownKey  = &refusal{ErrInvalid, "unknown-key", "its key is not among those of the issuer"}
	refusedAmbiguous   = &refusal{ErrInvalid, "ambiguous-key", "it names no key, and the issuer has too many to try"}
	refusedSignature   = &refusal{ErrInvalid, "signature", "its signature does not fit"}
	refusedClaim       = &refusal{ErrInvalid, "claim", "one of its claims has the wrong type or value"}
	refusedIncomplete  = &refusal{ErrInvalid, "incomplete", "it must have the claims exp, aud and iss"}
	refusedIssuer      = &refusal{ErrInvalid, "issuer", "it is from another issuer"}
	refusedAudience    = &refusal{ErrInvalid, "audience", "it is for another audience"}
	refusedEarly       = &refusal{ErrInvalid, "early", "it is not valid yet"}
	refusedExpired     = &refusal{ErrExpired, "expired", ""}
	refusedUnavailable = &refusal{ErrUnavailable, "unavailable", "the keys of the issuer could not be fetched"}
)

// refusals are all of them, for the labels of the counter.
var refusals = []*refusal{
	refusedMissing, refusedLength, refusedMalformed, refusedHeader, refusedAlgorithm, refusedUnknownKey, refusedAmbiguous,
	refusedSignature, refusedClaim, refusedIncomplete, refusedIssuer, refusedAudience, refusedEarly, refusedExpired,
	refusedUnavailable,
}

// refusalOfForm names what the library found wrong before it looked at claims.
// parsed is what it had read until then, and can be nil.
func refusalOfForm(err error, parsed *jwt.Token, algorithms []string) *refusal {
	var own *refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		if parsed != nil && parsed.Method != nil && slices.Contains(algorithms, parsed.Method.Alg()) {
			return refusedSignature
		}
		return refusedAlgorithm
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refusedAlgorithm
	default:
		return refusedMalformed
	}
}

// refusalOfClaims names what the library found wrong with the claims. It finds
// all there is; expiry is the last to be named, since only there a new token of
// the same kind helps.
func refusalOfClaims(err error) *refusal {
	switch {
	case errors.Is(err, jwt.ErrInvalidType):
		return refusedClaim
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refusedIncomplete
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refusedIssuer
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refusedAudience
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refusedEarly
	case errors.Is(err, jwt.ErrTokenExpired):
		return refusedExpired
	default:
		return refusedClaim
	}
}
