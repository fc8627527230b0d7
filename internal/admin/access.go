package admin

import (
	"mime"
	"net/http"

	"github.com/letswriteabook/realtime/internal/caller"
)

// Role is what a caller may do.
type Role string

// The roles. The zero Role may do nothing.
const (
	RoleRead    Role = "read"
	RoleOperate Role = "operate"
)

// Access decides who may do what. The zero value lets nobody in.
type Access struct {
	// OperateToken is the bearer token of the role operate, and ReadToken that of the role
	// read; empty: there is none.
	OperateToken, ReadToken string
	// Granted returns the role that a token of a client's issuer grants, and its subject;
	// no role for any other request. nil: there are no such tokens.
	Granted func(r *http.Request) (role Role, subject string)
	// Reached says that whoever reaches the listener is an operator while there are no
	// tokens, and Local the same of requests from this machine.
	Reached, Local bool
	// ReadOnly refuses every change.
	ReadOnly bool
}

// role returns the caller's role, and the subject of a token that has one. Cookies do not
// count, nor does a password in the address.
func (a Access) role(r *http.Request) (Role, string) {
	switch {
	case caller.Bears(r, a.OperateToken):
		return RoleOperate, ""
	case caller.Bears(r, a.ReadToken):
		return RoleRead, ""
	}
	if a.Granted != nil {
		if role, subject := a.Granted(r); role != "" {
			return role, subject
		}
	}
	switch {
	case r.Header.Get("Authorization") != "", a.OperateToken != "", a.ReadToken != "", caller.OtherOrigin(r):
		return "", ""
	case a.Local && caller.Local(r), a.Reached && caller.Direct(r) && caller.ByAddress(r):
		return RoleOperate, ""
	}
	return "", ""
}

// isJSON reports whether a request has the one media type that changes are sent in, for
// which a browser asks first.
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}
