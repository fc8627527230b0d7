package token

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is the content of a genuine token. The zero value grants nothing.
type Claims struct {
	// Subject is the party to which the token was issued, from sub; empty if absent.
	Subject string
	// Jobs is the list in the claim jobs, in its order: exact ids or patterns, which this
	// package does not interpret. It is empty if the claim is absent, which grants no job.
	Jobs []string
	// Scopes are the entries of the claims scope and scopes, in this order.
	Scopes []string
	// ExpiresAt is the time from which [Verifier.Verify] refuses the token: its exp, in
	// whole seconds, plus the leeway.
	ExpiresAt time.Time
	// ID is the claim jti, and KeyID the kid of the header, by which a token can be revoked;
	// empty where the token has none. IssuedAt is the claim iat, zero without one.
	ID       string
	KeyID    string
	IssuedAt time.Time
}

// errClaim is returned for a claim of a wrong type.
var errClaim = errors.New("claim has the wrong type")

// readClaims returns the relevant claims of a validated token.
func readClaims(members jwt.MapClaims, leeway time.Duration) (Claims, error) {
	subject, subjectErr := members.GetSubject()
	expiry, expiryErr := members.GetExpirationTime()
	jobs, jobsErr := words(members["jobs"])
	scope, scopeErr := words(members["scope"])
	scopes, scopesErr := words(members["scopes"])
	if err := errors.Join(subjectErr, expiryErr, jobsErr, scopeErr, scopesErr); err != nil {
		return Claims{}, err
	}
	id, _ := members["jti"].(string) // a jti that is not a string is ignored
	var issued time.Time
	if date, err := members.GetIssuedAt(); err == nil && date != nil && isDate(members["iat"]) {
		issued = date.Time
	}
	return Claims{
		ID:        id,
		IssuedAt:  issued,
		Subject:   subject,
		Jobs:      jobs,
		Scopes:    append(scope, scopes...),
		ExpiresAt: expiry.Add(leeway),
	}, nil
}

// words parses a claim that lists words: a string with spaces between them, as RFC 8693,
// section 4.2 defines for scope, or an array of strings, which may contain spaces. Empty
// words are omitted.
func words(claim any) ([]string, error) {
	var list []string
	switch claim := claim.(type) {
	case nil:
	case string:
		list = strings.Split(claim, " ")
	case []any:
		for _, element := range claim {
			word, isString := element.(string)
			if !isString {
				return nil, errClaim
			}
			list = append(list, word)
		}
	default:
		return nil, errClaim
	}
	return slices.DeleteFunc(list, func(word string) bool { return word == "" }), nil
}

// maxDate is the last second of the year 9999, past which RFC 3339 cannot write
// a time.
const maxDate = 253402300799

// isDate reports whether a claim is absent or a number of seconds since 1970 (RFC 7519,
// section 2) in the supported range.
func isDate(claim any) bool {
	if claim == nil {
		return true
	}
	seconds, isNumber := claim.(float64)
	return isNumber && seconds >= 0 && seconds <= maxDate
}
