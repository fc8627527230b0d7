package admin

import (
	"context"
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/letswriteabook/realtime/eventstore/revocations"
)

// RevocationPage is a page of what is revoked, by kind and value.
type RevocationPage struct {
	Items []revocations.Revocation `json:"items"`
	// Next is the after of the next page; empty on the last one.
	Next string `json:"next,omitempty"`
}

// RevocationRequest names what is to be revoked, or is not to be any more.
type RevocationRequest struct {
	// Kind is token (by its jti), key (by its kid) or subject (tokens issued until then).
	Kind   revocations.Kind `json:"kind"`
	Value  string           `json:"value"`
	Reason string           `json:"reason,omitempty"`
}

// errNoTokens says that there is nothing to revoke.
var errNoTokens = refuse(http.StatusConflict, "no-tokens", "clients need no token here: AUTH_JWKS_URL and AUTH_HMAC_SECRET are not set")

func (a *API) listRevocations(_ context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	page := RevocationPage{Items: []revocations.Revocation{}}
	if a.Revocations == nil {
		return page, nil
	}
	all, after := a.Revocations.List(), c.text("after")
	first := sort.Search(len(all), func(n int) bool { return all[n].Place() > after })
	for n, size := first, 0; n < len(all); n++ {
		if len(page.Items) == limit || size >= maxAnswerBytes {
			page.Next = all[n-1].Place()
			break
		}
		size += len(all[n].Value) + len(all[n].Reason)
		page.Items = append(page.Items, all[n])
	}
	return page, nil
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
	revocation := revocations.Revocation{Kind: request.Kind, Value: request.Value, At: time.Now().UTC(), Reason: request.Reason, Lifted: lifted}
	if err := revocation.Validate(); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "%v", err)
	}
	if place := revocation.Place(); lifted && !slices.ContainsFunc(a.Revocations.List(), func(r revocations.Revocation) bool { return r.Place() == place }) {
		return nil, refuse(http.StatusNotFound, "not-found", "there is no such revocation")
	}
	return c.audited(ctx, request, func() (any, error) {
		if err := a.Revocations.Add(ctx, revocation); err != nil {
			return nil, err
		}
		return revocation, nil
	})
}
