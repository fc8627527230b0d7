package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/letswriteabook/realtime/internal/caller"
)

// An address is no credential: a proxy on this machine makes every client local, and
// a plain one sends nothing that shows it. So a request from this machine is an
// operator's and a producer's in one case only: none of the settings is there that a
// deployment has, INTERNAL_TOKEN, ADMIN_ADDR, TRUSTED_PROXIES, LISTEN, HTTP_H2C and
// ENVIRONMENT=production ([config.Config.TrustsLocal]). Otherwise the operators' pages are
// on ADMIN_ADDR if that is set, and on the public port for bearers of INTERNAL_TOKEN
// if it is not.

// operators decides who is an operator. The zero value takes nobody.
type operators struct {
	token string // empty: no token is taken
	local bool   // requests from this machine are taken
}

// admit reports whether a request is an operator's.
func (o operators) admit(r *http.Request) bool {
	return o.shows(r) || o.local && caller.Local(r)
}

// shows reports whether the request carries the token.
func (o operators) shows(r *http.Request) bool { return caller.Bears(r, o.token) }

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
		if caller.OtherSite(r) {
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
