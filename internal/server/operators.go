package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"strings"
)

// An address is no credential: a proxy on this machine makes every client local, and
// a plain one sends nothing that shows it. So a request from this machine is an
// operator's and a producer's in one case only: none of the settings is there that a
// deployment has, INTERNAL_TOKEN, ADMIN_ADDR, TRUSTED_PROXIES and
// ENVIRONMENT=production ([config.Config.TrustsLocal]). Otherwise the operators' pages are
// on ADMIN_ADDR if that is set, and on the public port for bearers of INTERNAL_TOKEN
// if it is not.

// forwardingHeaders mark a request that came through a proxy: it is remote,
// wherever the proxy runs.
var forwardingHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// operators decides who is an operator. The zero value takes nobody.
type operators struct {
	token string // empty: no token is taken
	local bool   // requests from this machine are taken
}

// admit reports whether a request is an operator's.
func (o operators) admit(r *http.Request) bool {
	return o.shows(r) || o.local && local(r)
}

// shows reports whether the request carries the token.
func (o operators) shows(r *http.Request) bool {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if o.token == "" || !found {
		return false
	}
	// Hashed, so that the comparison tells nothing of the length either.
	given, wanted := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(o.token))
	return subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
}

// local reports whether a request came from this machine: as far as can be seen not
// through a proxy on it, and not from a web page of somewhere else, also of one whose
// name was made to resolve to this machine (DNS rebinding), which Host and Origin show.
func local(r *http.Request) bool {
	// nginx speaks HTTP/1.0 to what it stands in front of unless told otherwise, and
	// sends its own address as Host.
	if !r.ProtoAtLeast(1, 1) || foreignPage(r) {
		return false
	}
	for _, name := range forwardingHeaders {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && isLocalName(host) && isLoopback(remote)
}

// foreignPage reports whether a browser sent the request for a page of another site:
// by Origin, or by the fetch metadata that also a request without Origin carries
// (W3C Fetch Metadata, Sec-Fetch-Site).
func foreignPage(r *http.Request) bool {
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
	return err != nil || !isLocalName(u.Hostname())
}

func isLocalName(host string) bool {
	return host == "localhost" || isLoopback(strings.Trim(host, "[]"))
}

func isLoopback(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && parsed.Unmap().IsLoopback()
}

// only lets nobody but operators through.
func (o operators) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.admit(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "operators only: on ADMIN_ADDR, or with INTERNAL_TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reached lets everybody through but pages of other sites: whoever reaches ADMIN_ADDR
// is an operator, except a page that an operator's browser shows.
func reached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if foreignPage(r) {
			http.Error(w, "not for pages of other sites", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveProfiles adds the runtime's profiles.
func serveProfiles(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	for path, page := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+path, guard(headless("application/octet-stream", page)))
	}
}
