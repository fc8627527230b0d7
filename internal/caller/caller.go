package caller

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// forwardingHeaders mark a request that came through a proxy: it is remote, wherever the
// proxy runs.
var forwardingHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// Bears reports whether a request carries a token as its bearer (RFC 6750). No request
// carries the empty token.
func Bears(r *http.Request, token string) bool {
	given, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "" || !found {
		return false
	}
	// Hashed, so that the time of the comparison does not depend on the length either.
	one, other := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(one[:], other[:]) == 1
}

// Direct reports whether a request came without a proxy, as far as that can be seen.
func Direct(r *http.Request) bool {
	for _, name := range forwardingHeaders {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	// nginx speaks HTTP/1.0 to what it stands in front of unless told otherwise, and sends
	// its own address as Host.
	return r.ProtoAtLeast(1, 1)
}

// Local reports whether a request came from this machine: directly, by a name of this
// machine, and not from a web page of another site. Host and Origin also show a page whose
// name was made to resolve to this machine (DNS rebinding).
func Local(r *http.Request) bool {
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && isLoopback(remote) && isLocalName(Host(r.Host)) && Direct(r) && !OtherSite(r)
}

// OtherSite reports whether a browser sent a request for a page of another site: by
// Origin, or by the fetch metadata that also a request without Origin carries (W3C Fetch
// Metadata, Sec-Fetch-Site). By Origin alone, a page of this machine on another port is of
// the same site.
func OtherSite(r *http.Request) bool {
	origin, given := originOf(r)
	return fetchedAcross(r) || given && (origin == nil || !isLocalName(origin.Hostname()))
}

// OtherOrigin reports whether a browser sent a request for a page of another origin, so
// also for one on another port (RFC 6454).
func OtherOrigin(r *http.Request) bool {
	origin, given := originOf(r)
	return fetchedAcross(r) || given && (origin == nil || origin.Host == "" || !strings.EqualFold(origin.Host, r.Host))
}

func fetchedAcross(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// originOf returns the Origin of a request, nil for one that cannot be read, and whether
// there is one.
func originOf(r *http.Request) (origin *url.URL, given bool) {
	text := r.Header.Get("Origin")
	if text == "" {
		return nil, false
	}
	origin, err := url.Parse(text)
	if err != nil {
		return nil, true
	}
	return origin, true
}

// ByAddress reports whether the Host of a request is an address or localhost. Any other
// name could be that of a page which was made to resolve to the listener.
func ByAddress(r *http.Request) bool {
	name := Host(r.Host)
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost"
}

// Host returns the host of an address with or without a port, without brackets.
func Host(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return strings.Trim(host, "[]")
}

func isLocalName(host string) bool { return host == "localhost" || isLoopback(host) }

func isLoopback(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && parsed.Unmap().IsLoopback()
}
