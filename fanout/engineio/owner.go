package engineio

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
)

// The sid in the address of a poll or an upgrade is all that names a session there, and
// so is worth as much as what was shown to open it. These checks keep one that got out
// of its client's hands from being used by a page of another origin, or with another
// token. They cannot keep a program that sends the same headers from using it. A
// client's network address may change and is not compared.

// owns reports whether a request about the session is of the client that opened it, as
// far as its headers say.
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

// withSameToken compares Authorization. It may be left out, as by a browser, whose
// WebSockets cannot send it.
func (s *Session) withSameToken(r *http.Request) bool {
	shown := r.Header.Get("Authorization")
	return shown == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(s.kept.get("Authorization"))) == 1
}

// Tag stands for the session in logs, from which its id cannot be derived.
func (s *Session) Tag() string {
	sum := sha256.Sum256([]byte(s.id))
	return hex.EncodeToString(sum[:6])
}
