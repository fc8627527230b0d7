package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrMissing is returned by [Verifier.Verify] for an empty token.
	ErrMissing = errors.New("token is missing")

	// ErrInvalid is returned by [Verifier.Verify] for a token that is not acceptable: it is
	// malformed, or not from this issuer, not for this audience, or not signed with a known
	// key. A retry with the same token helps only if the token is not valid yet.
	ErrInvalid = errors.New("token is invalid")

	// ErrExpired is returned by [Verifier.Verify] for a token that is valid except that it
	// has expired. A retry needs a new token.
	ErrExpired = errors.New("token has expired")

	// ErrUnavailable is returned by [Verifier.Verify] if a token cannot be verified because
	// the keys of the issuer could not be fetched. A retry helps once they are. The client
	// is not at fault.
	ErrUnavailable = errors.New("token cannot be verified now")

	// ErrRunning is returned by [Verifier.Run] when it is called a second time.
	ErrRunning = errors.New("token: verifier runs already, or has run")
)

// refusal is a reason to refuse a token. The reasons and their texts are fixed, so that no
// part of a token is written to a log or a label.
type refusal struct {
	is    error // the sentinel that it matches
	label string
	text  string
}

// Error returns the text of the sentinel and the reason.
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

// refusals are all refusals, for the labels of the counter.
var refusals = []*refusal{
	refusedMissing, refusedLength, refusedMalformed, refusedHeader, refusedAlgorithm, refusedUnknownKey, refusedAmbiguous,
	refusedSignature, refusedClaim, refusedIncomplete, refusedIssuer, refusedAudience, refusedEarly, refusedExpired,
	refusedUnavailable,
}

// refusalOfForm returns the refusal for an error of the library before claims are checked.
// parsed is the part parsed until then, and may be nil.
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

// refusalOfClaims returns the refusal for the library's errors about claims. It names
// expiry last, because only for expiry a new token of the same kind helps.
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
