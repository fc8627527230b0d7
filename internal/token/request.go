package token

import (
	"net/http"
	"strings"
)

// FromRequest returns the bearer token in the request's Authorization header (RFC 6750,
// section 2.1). It returns "" without the header, for another scheme, and for several
// headers, of which a proxy may have checked another one. The token is not verified.
//
// A token in the query string is ignored (section 2.3), because URLs are stored in logs,
// histories and Referer headers.
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
