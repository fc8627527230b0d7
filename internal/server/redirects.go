package server

import (
	"net/http"
	"path"
	"strings"
)

// withRelativeRedirects serves a mux's requests by next, and redirects those whose path
// the mux would redirect: one that is not clean, and one that lacks the slash at the end
// of a tree. The mux redirects to an absolute path, which is a wrong one wherever the
// client knows the service under a path: below BASE_PATH, and behind a proxy that strips
// one. The Location here is relative to the path of the request (RFC 9110, section
// 10.2.2), and so is right under any path.
func withRelativeRedirects(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.EscapedPath()
		target := cleanPath(asked)
		if _, pattern := mux.Handler(r); isTree(pattern, target) {
			target += "/"
		}
		if target == asked || r.Method == http.MethodConnect || !strings.HasPrefix(asked, "/") {
			next.ServeHTTP(w, r)
			return
		}
		location := relativeTo(asked, target)
		if r.URL.RawQuery != "" {
			location += "?" + r.URL.RawQuery
		}
		// Not by http.Redirect, which makes the location absolute.
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect) // with which the method stays
	})
}

// isTree reports whether a pattern of a mux, "[METHOD ][HOST]/PATH", is that of the tree
// below a path.
func isTree(pattern, path string) bool {
	begin := strings.IndexByte(pattern, '/')
	return begin >= 0 && pattern[begin:] == path+"/"
}

// cleanPath returns the path as the mux matches it.
func cleanPath(asked string) string {
	clean := path.Clean("/" + asked)
	if strings.HasSuffix(asked, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// relativeTo returns the reference that leads from one absolute path to another
// (RFC 3986, section 5.2). It climbs out of every segment of the first, the empty ones
// included, since a client resolves it against the path as it was asked for. It begins
// with a dot, so that no segment of the path is taken for a scheme or a host.
func relativeTo(from, to string) string {
	depth := 0
	segments := strings.Split(from, "/")
	for _, segment := range segments[1 : len(segments)-1] {
		switch segment {
		case ".":
		case "..":
			depth = max(depth-1, 0)
		default:
			depth++
		}
	}
	if depth == 0 {
		return "." + to
	}
	return strings.TrimSuffix(strings.Repeat("../", depth), "/") + to
}
