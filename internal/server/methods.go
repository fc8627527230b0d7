package server

import (
	"context"
	"net/http"
	"strings"
)

// What RFC 9110 asks of every route beside what it serves: OPTIONS (section
// 9.3.7), and HEAD (section 9.3.2), which a pattern for GET takes as well. Neither
// has a side effect, and neither lasts: whoever sends one through a proxy that
// reuses its connections would otherwise hold up the requests of others.

// probed are the methods that routes are registered for.
var probed = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// withMethods serves a mux, and OPTIONS and HEAD of each of its routes.
func withMethods(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			serveHead(w, r, mux)
		case http.MethodOptions:
			serveOptions(w, r, mux)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// serveOptions says which methods a route has, unless the route says so itself.
func serveOptions(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	if _, pattern := mux.Handler(r); pattern != "" {
		mux.ServeHTTP(w, r)
		return
	}
	var allowed []string
	asked := r.WithContext(r.Context()) // a copy, of which the method differs
	for _, method := range probed {
		asked.Method = method
		if _, pattern := mux.Handler(asked); pattern == "" {
			continue
		}
		if allowed = append(allowed, method); method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	if allowed == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	w.WriteHeader(http.StatusNoContent)
}

// serveHead serves HEAD as a GET that ends with its headers.
func serveHead(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	ctx, end := context.WithCancel(r.Context())
	defer end()
	mux.ServeHTTP(&headWriter{header: w.Header(), to: w, end: end}, r.WithContext(ctx))
}

// headWriter takes the headers of an answer, and ends the request once they are
// known: a handler that would go on finds its context ended and its writes refused.
// It hands on neither the connection nor its deadlines.
type headWriter struct {
	header http.Header
	to     http.ResponseWriter
	end    context.CancelFunc
}

// Header implements http.ResponseWriter.
func (h *headWriter) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *headWriter) WriteHeader(status int) {
	h.to.WriteHeader(status)
	if status >= http.StatusOK { // and not an informational one, which others follow
		h.end()
	}
}

// Write implements http.ResponseWriter.
func (h *headWriter) Write([]byte) (int, error) {
	h.end()
	return 0, http.ErrBodyNotAllowed
}

// Flush implements http.Flusher.
func (h *headWriter) Flush() { h.end() }

// headless answers HEAD of a page whose GET costs something, without running it.
func headless(contentType string, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			page.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-store")
	})
}
