package guardrails

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// ScopePublish is the scope required for publishing.
	ScopePublish = "publish"
	// expiryWarning is how long before the end of its grant a client is warned.
	expiryWarning = 30 * time.Second
	// Never is the wait for an event that does not occur.
	Never = time.Duration(math.MaxInt64)
)

// ErrGrant is returned by [NewGrant] for claims from which no grant can be made. The token
// cannot be used; a retry does not help.
var ErrGrant = errors.New("guardrails: claims make no grant")

// Grant is what a verified token lets its bearer do. The zero value allows
// nothing; [Open] allows everything. A Grant is not changed after it is made
// and may then be used concurrently.
type Grant struct {
	// Subject is the party that the token was issued to.
	Subject string
	// Jobs are the jobs that may be followed: exact ids; prefixes, which end in
	// "*"; or "*" for all.
	Jobs []string
	// Scopes are what else the bearer may do.
	Scopes []string
	// ExpiresAt is the end of the grant. Without one it allows nothing.
	ExpiresAt time.Time
	// Token names the token of the grant, for its revocation.
	Token Token

	open bool
}

// Token names a token: by its id (jti), the key that signed it (kid), and when it was
// issued (iat). What the token does not say is zero.
type Token struct {
	ID, KeyID string
	IssuedAt  time.Time
}

// Open returns the grant of every client while tokens are off: it has no
// subject, no end and no bounds.
func Open() Grant { return Grant{open: true} }

// NewGrant makes a grant from the claims of a verified token. Its error is an [ErrGrant] if
// the token has no subject or no expiry, or if one of the jobs is not a pattern: it is
// empty, has a "*" before its end, or cannot match any jobId. A prefix matches everything
// that begins with it, so a prefix for a group of jobs must end in the separator after the
// group's name: "team-1*" also matches "team-10/a", while "team-1/*" does not.
func NewGrant(subject string, jobs, scopes []string, expiresAt time.Time) (Grant, error) {
	if subject == "" {
		return Grant{}, fmt.Errorf("%w: want a subject", ErrGrant)
	}
	if expiresAt.IsZero() {
		return Grant{}, fmt.Errorf("%w: want a time of expiry", ErrGrant)
	}
	for i, pattern := range jobs {
		if !validPattern(pattern) {
			// The error states only the position: the content of tokens is not logged.
			return Grant{}, fmt.Errorf("%w: entry %d of the jobs: want a jobId, a prefix with * at its end, or *", ErrGrant, i)
		}
	}
	return Grant{
		Subject: subject, Jobs: slices.Clone(jobs), Scopes: slices.Clone(scopes),
		// Tokens use wall time, so the monotonic clock reading is removed.
		ExpiresAt: expiresAt.Round(0),
	}, nil
}

func validPattern(pattern string) bool {
	if pattern == "*" {
		return true
	}
	id := strings.TrimSuffix(pattern, "*")
	return !strings.Contains(id, "*") && messaging.ValidateJobID(id) == nil
}

// Follow decides whether the bearer may read the past and future events of a job.
func (g Grant) Follow(jobID string) Decision {
	if refusal := g.given(); !refusal.Allowed() || g.open {
		return refusal
	}
	for _, pattern := range g.Jobs {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		if jobID == pattern || isPrefix && strings.HasPrefix(jobID, prefix) {
			return allowed
		}
	}
	return Decision{Code: messaging.CodeJobForbidden}
}

// Publish decides whether the bearer may publish events.
func (g Grant) Publish() Decision {
	if refusal := g.given(); !refusal.Allowed() || g.open || slices.Contains(g.Scopes, ScopePublish) {
		return refusal
	}
	return Decision{Code: messaging.CodeScopeRequired}
}

// given refuses the zero grant and a grant without an expiry.
func (g Grant) given() Decision {
	if !g.open && g.ExpiresAt.IsZero() {
		return Decision{Code: messaging.CodeTokenRequired}
	}
	return allowed
}

// Expiry returns the time until the bearer is to be warned, which is expiryWarning before
// the end, and the time until the end. Neither is negative; zero means now. For the [Open]
// grant both are [Never]. Because clocks may be set, call Expiry again when the time has
// come.
func (g Grant) Expiry(now time.Time) (warnIn, endIn time.Duration) {
	if g.open {
		return Never, Never
	}
	endIn = max(g.ExpiresAt.Sub(now), 0)
	return max(endIn-expiryWarning, 0), endIn
}
