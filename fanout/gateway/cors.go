package gateway

import (
	"net/http"
	"strings"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// The CORS protocol (Fetch standard, section 3.2) for every transport: the origins that may
// open a socket may read answers.
//
// Credentials are allowed only for origins named in the settings, not for origins that are
// allowed by "*".

// allowedHeaders are the request headers that a page of another origin may send.
var allowedHeaders = strings.Join([]string{
	"Content-Type", "Accept", "Authorization", "Last-Event-ID", "X-Requested-With", recoveryHeader, "traceparent", "tracestate", "baggage",
}, ", ")

// exposedHeaders are the response headers that such a page may read in addition to the
// usual ones.
const exposedHeaders = "Retry-After, Warning"

// shareAnswer sets the headers that allow a page of the request's origin to read the
// answer, and returns the standing of the origin.
func (g *Gateway) shareAnswer(header http.Header, r *http.Request) guardrails.Standing {
	origin := r.Header.Get("Origin")
	header.Add("Vary", "Origin")
	standing := g.origins.Load().Standing(origin, r.Host)
	switch standing {
	case guardrails.StandingListed:
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
	case guardrails.StandingOwn:
		header.Set("Access-Control-Allow-Origin", origin)
	case guardrails.StandingAnyone:
		header.Set("Access-Control-Allow-Origin", "*") // with which browsers send no credentials
	default:
		return standing
	}
	header.Set("Access-Control-Expose-Headers", exposedHeaders)
	return standing
}

// Preflights answers OPTIONS for the requests that next serves with these methods, such as
// "GET, POST", and passes all other requests to next.
func (g *Gateway) Preflights(methods string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Set("Allow", methods+", HEAD, OPTIONS")
		g.countOrigin(g.shareAnswer(header, r), r)
		if header.Get("Access-Control-Allow-Origin") != "" {
			header.Set("Access-Control-Allow-Methods", methods)
			header.Set("Access-Control-Allow-Headers", allowedHeaders)
			header.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// countOrigin counts a request of an origin that may not read the answer. A browser sends
// no further request, so later steps could not count it. A request without an origin does
// not come from a page.
func (g *Gateway) countOrigin(standing guardrails.Standing, r *http.Request) {
	if origin := r.Header.Get("Origin"); standing == guardrails.StandingRefused && origin != "" {
		g.count(guardrails.Decision{Code: messaging.CodeOriginNotAllowed}, origin)
	}
}

// ShareSockets allows pages of allowed origins to read the answers of the polling
// transport. Sockets of other origins are refused by [Gateway.Connect]; a browser that
// polls does not get that far, because it cannot read the handshake. The handshakes of
// clients that open many short connections wait, see [guardrails.Churn].
func (g *Gateway) ShareSockets(next http.Handler) http.Handler {
	return g.Preflights("GET, POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		standing := g.shareAnswer(w.Header(), r)
		query := r.URL.Query()
		if handshake := !query.Has("sid"); handshake {
			if query.Get("transport") == "polling" {
				g.countOrigin(standing, r)
			}
			if !g.slowDown(r, g.churner(r), handshakeShare) {
				return
			}
		}
		next.ServeHTTP(w, r)
	}))
}
