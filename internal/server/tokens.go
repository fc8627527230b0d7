package server

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/token"
	"github.com/letswriteabook/realtime/messaging"
)

// tokens turns verified tokens into grants. It is what the gateway and the way to
// publish over HTTP ask.
type tokens struct {
	verifier *token.Verifier
	// revoked reports whether the token of a grant counts no more.
	revoked func(guardrails.Grant) bool
}

// FromRequest implements fanout.Tokens.
func (t tokens) FromRequest(r *http.Request) string { return token.FromRequest(r) }

// Grant implements fanout.Tokens.
func (t tokens) Grant(raw string, now time.Time) (guardrails.Grant, guardrails.Decision) {
	claims, err := t.verifier.Verify(raw, now)
	code := messaging.CodeTokenInvalid
	switch {
	case err == nil:
		grant, err := guardrails.NewGrant(claims.Subject, claims.Jobs, claims.Scopes, claims.ExpiresAt)
		grant.Token = guardrails.Token{ID: claims.ID, KeyID: claims.KeyID, IssuedAt: claims.IssuedAt}
		if err == nil && (t.revoked == nil || !t.revoked(grant)) {
			return grant, guardrails.Decision{}
		}
	case errors.Is(err, token.ErrMissing):
		code = messaging.CodeTokenRequired
	case errors.Is(err, token.ErrExpired):
		code = messaging.CodeTokenExpired
	case errors.Is(err, token.ErrUnavailable):
		code = messaging.CodeInternal // the issuer's keys are not to be had; the client may try again
	}
	return guardrails.Grant{}, guardrails.Decision{Code: code}
}

// openTokens returns what verifies tokens, or nil when clients need none.
func (a *App) openTokens() (*tokens, error) {
	settings, needed, err := a.cfg.Tokens()
	if err != nil || !needed {
		return nil, err
	}
	verifier, err := token.New(settings, a.logger, a.registry)
	if err != nil {
		return nil, err
	}
	return &tokens{verifier: verifier}, nil
}

// producers lets those through who may publish over HTTP: operators, and bearers
// of a token with the scope for it.
func (a *App) producers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.tokens == nil || a.operators().shows(r) {
			a.operators().only(next).ServeHTTP(w, r)
			return
		}
		grant, decision := a.tokens.Grant(a.tokens.FromRequest(r), time.Now())
		status := http.StatusUnauthorized
		if decision.Allowed() {
			decision, status = grant.Publish(), http.StatusForbidden
		}
		if decision.Code == messaging.CodeInternal {
			status = http.StatusServiceUnavailable
		}
		if !decision.Allowed() {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, string(decision.Code)+": "+decision.Code.Message(), status)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// adminGrant returns what the operators' API asks for the role of a client's token, which
// its scopes grant; nil without such tokens. A token that is revoked grants none.
func (a *App) adminGrant(read, operate string) func(*http.Request) (admin.Role, string) {
	if a.tokens == nil {
		return nil
	}
	return func(r *http.Request) (admin.Role, string) {
		grant, decision := a.tokens.Grant(a.tokens.FromRequest(r), time.Now())
		switch {
		case !decision.Allowed():
		case operate != "" && slices.Contains(grant.Scopes, operate):
			return admin.RoleOperate, grant.Subject
		case read != "" && slices.Contains(grant.Scopes, read):
			return admin.RoleRead, grant.Subject
		}
		return "", ""
	}
}
