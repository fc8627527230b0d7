package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
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
	// Reached says that whoever reaches the listener is an operator while there are no
	// tokens, and Local the same of requests from this machine.
	Reached, Local bool
	// ReadOnly refuses every change.
	ReadOnly bool
}

// forwardingHeaders mark a request that came through a proxy, and so from elsewhere.
var forwardingHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// role returns the caller's role. Cookies do not count, nor does a password in the
// address.
func (a Access) role(r *http.Request) Role {
	if header := r.Header.Get("Authorization"); header != "" {
		given, _ := strings.CutPrefix(header, "Bearer ")
		switch {
		case same(given, a.OperateToken):
			return RoleOperate
		case same(given, a.ReadToken):
			return RoleRead
		}
		return ""
	}
	if a.OperateToken != "" || a.ReadToken != "" || !direct(r) || !namesNoSite(r.Host) || foreign(r) {
		return ""
	}
	if a.Reached || a.Local && isLoopback(hostOf(r.RemoteAddr)) {
		return RoleOperate
	}
	return ""
}

// same compares secrets in constant time; none is equal to an empty one.
func same(given, wanted string) bool {
	one, other := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(wanted))
	return wanted != "" && subtle.ConstantTimeCompare(one[:], other[:]) == 1
}

// direct reports whether a request came without a proxy, as far as that can be seen. A
// plain nginx speaks HTTP/1.0.
func direct(r *http.Request) bool {
	for _, name := range forwardingHeaders {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return r.ProtoAtLeast(1, 1)
}

// namesNoSite reports whether a Host is an address or localhost: a name could be that of a
// page which was made to resolve to this listener (DNS rebinding).
func namesNoSite(host string) bool {
	name := hostOf(host)
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost"
}

// foreign reports whether a browser sent the request for a page of another origin (Fetch
// Metadata, Sec-Fetch-Site; RFC 6454, Origin).
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// isJSON reports whether a request has the one media type that changes are sent in, for
// which a browser asks first.
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// hostOf returns the host of an address with or without a port, without brackets.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return strings.Trim(host, "[]")
}

func isLoopback(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && parsed.Unmap().IsLoopback()
}
