package app

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

// The operators' pages are served on ADMIN_ADDR, if it is set, and on the public
// port to those who may see them there: whoever asks from this machine directly,
// or shows INTERNAL_TOKEN.

// forwardingHeaders mark a request that came through a proxy: it is remote,
// wherever the proxy runs.
var forwardingHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// operators decides who is an operator. The zero value takes those on this
// machine.
type operators struct {
	token string // empty: none
}

// admit reports whether a request is an operator's.
func (o operators) admit(r *http.Request) bool {
	return o.shows(r) || local(r)
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

// local reports whether a request came from this machine: not through a proxy on
// it, and not from a web page of somewhere else whose name was made to resolve
// to it (DNS rebinding), which Host and Origin give away.
func local(r *http.Request) bool {
	for _, name := range forwardingHeaders {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !isLocalName(u.Hostname()) {
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
			http.Error(w, "operators only: ask from this machine, on ADMIN_ADDR, or with INTERNAL_TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// everybody lets everybody through: whoever reaches ADMIN_ADDR is an operator.
func everybody(next http.Handler) http.Handler { return next }

// serveProfiles adds the runtime's profiles.
func serveProfiles(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	mux.Handle("GET /debug/pprof/", guard(http.HandlerFunc(pprof.Index)))
	mux.Handle("GET /debug/pprof/cmdline", guard(http.HandlerFunc(pprof.Cmdline)))
	mux.Handle("GET /debug/pprof/profile", guard(http.HandlerFunc(pprof.Profile)))
	mux.Handle("GET /debug/pprof/symbol", guard(http.HandlerFunc(pprof.Symbol)))
	mux.Handle("GET /debug/pprof/trace", guard(http.HandlerFunc(pprof.Trace)))
}
