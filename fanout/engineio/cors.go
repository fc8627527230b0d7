package engineio

import "net/http"

// allowOrigin lets a browser read the response across origins where the
// configuration says so.
func (s *Server) allowOrigin(header http.Header, r *http.Request) {
	if s.cfg.AllowOrigin == nil {
		return
	}
	header.Add("Vary", "Origin")
	allow, ok := s.cfg.AllowOrigin(r)
	if !ok {
		return
	}
	header.Set("Access-Control-Allow-Origin", allow)
	if allow != "*" { // a browser refuses credentials with the wildcard
		header.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers the question a browser asks before a cross-origin POST.
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "GET,POST")
		header.Add("Vary", "Access-Control-Request-Headers")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			header.Set("Access-Control-Allow-Headers", asked)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
