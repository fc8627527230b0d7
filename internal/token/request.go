package token

import (
	"net/http"
	"strings"
)

// FromRequest returns the bearer token of the request's Authorization header
// (RFC 6750, section 2.1), or nothing: without the header, with another scheme,
// or with several of them, where a proxy may have looked at another one. What it
// returns is not verified.
//
// A token in the query string is never read (section 2.3): addresses end up in
// logs, histories and Referer headers.
func FromRequest(r *http.Request) string {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return ""
	}
	scheme, credentials, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(credentials, " ")
}
