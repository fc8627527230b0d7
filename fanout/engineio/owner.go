package engineio

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
)

// A poll or an upgrade names its session only by the sid in its address, so the sid is as
// valuable as the credentials of the handshake. These checks prevent a leaked sid from
// being used by a page of another origin or with another token. They cannot stop a program
// that sends the same headers. A client's network address may change and is not compared.

// owns reports whether a request comes from the client that opened the session, according
// to its headers.
func (s *Session) owns(r *http.Request) bool {
	return s.fromSameOrigin(r) && s.withSameToken(r)
}

// fromSameOrigin compares Origin. A browser sends it with every request to another
// origin, and to the page's own with POST and WebSocket, but not with GET.
func (s *Session) fromSameOrigin(r *http.Request) bool {
	opened, origin, site := s.kept.get("Origin"), r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case opened != "":
		return origin == opened
	case origin == "": // also an image or a script on a page of another site
		return site == "" || site == "none" || site == "same-origin"
	case site == "same-origin", s.server.cfg.AllowOrigin == nil:
		return true
	}
	return s.server.cfg.AllowOrigin(origin, r.Host)
}

// withSameToken compares Authorization. It may be absent, as with browsers, whose
// WebSockets cannot send it.
func (s *Session) withSameToken(r *http.Request) bool {
	shown := r.Header.Get("Authorization")
	return shown == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(s.kept.get("Authorization"))) == 1
}

// Tag returns the name of the session in logs, from which its id cannot be derived.
func (s *Session) Tag() string {
	sum := sha256.Sum256([]byte(s.id))
	return hex.EncodeToString(sum[:6])
}
