package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/letswriteabook/realtime/eventstore/revocations"
)

// RevocationList is what is revoked, the first maxRows of it.
type RevocationList struct {
	Items []Revocation `json:"items"`
	// More says that there are others.
	More bool `json:"more"`
}

// Revocation is one of them.
type Revocation struct {
	// Kind is token (by its jti), key (by its kid) or subject (tokens issued until then).
	Kind   string    `json:"kind"`
	Value  string    `json:"value"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// RevocationRequest names what is to be revoked, or is not to be any more.
type RevocationRequest struct {
	Kind   string `json:"kind"`
	Value  string `json:"value"`
	Reason string `json:"reason,omitempty"`
}

// errNoTokens says that there is nothing to revoke.
var errNoTokens = refuse(http.StatusConflict, "no-tokens", "clients need no token here: AUTH_JWKS_URL and AUTH_HMAC_SECRET are not set")

func (a *API) listRevocations(context.Context, *call) (any, error) {
	list := RevocationList{Items: []Revocation{}}
	if a.Revocations == nil {
		return list, nil
	}
	for _, r := range a.Revocations.List() {
		if len(list.Items) == maxRows {
			list.More = true
			break
		}
		list.Items = append(list.Items, Revocation{Kind: string(r.Kind), Value: r.Value, At: r.At, Reason: r.Reason})
	}
	return list, nil
}

func (a *API) revoke(ctx context.Context, c *call) (any, error) {
	return a.changeRevocation(ctx, c, false)
}

func (a *API) lift(ctx context.Context, c *call) (any, error) {
	return a.changeRevocation(ctx, c, true)
}

func (a *API) changeRevocation(ctx context.Context, c *call, lifted bool) (any, error) {
	if a.Revocations == nil {
		return nil, errNoTokens
	}
	var request RevocationRequest
	if err := c.body(&request); err != nil {
		return nil, err
	}
	revocation := revocations.Revocation{Kind: revocations.Kind(request.Kind), Value: request.Value, At: time.Now().UTC(), Reason: request.Reason, Lifted: lifted}
	if err := revocation.Validate(); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "%v", err)
	}
	return c.audited(ctx, request, func() (any, error) {
		if err := a.Revocations.Add(ctx, revocation); err != nil {
			return nil, err
		}
		return Revocation{Kind: request.Kind, Value: request.Value, At: revocation.At, Reason: request.Reason}, nil
	})
}
