package guardrails

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// Origins is the list of web origins (RFC 6454) that may open a socket. The
// zero value allows none, but for clients that send no Origin.
type Origins struct {
	any      bool
	required bool
	allowed  map[string]bool
}

// ParseOrigins reads a comma-separated list of origins such as
// "https://app.example,http://localhost:5173"; "*" allows every origin. With
// required, a client that sends no Origin is refused too.
func ParseOrigins(list string, required bool) (Origins, error) {
	origins := Origins{required: required, allowed: make(map[string]bool)}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		switch {
		case entry == "":
		case entry == "*":
			origins.any = true
		default:
			u, err := url.Parse(entry)
			if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
				return Origins{}, fmt.Errorf("origin %q: want scheme://host[:port] or *", entry)
			}
			origins.allowed[normalOrigin(entry)] = true
		}
	}
	if !origins.any && len(origins.allowed) == 0 {
		return Origins{}, fmt.Errorf("origins %q: want at least one scheme://host[:port], or *", list)
	}
	return origins, nil
}

// Any reports whether every origin may open a socket.
func (o Origins) Any() bool { return o.any }

// Decide decides about the value of a request's Origin header, empty when the
// request had none.
func (o Origins) Decide(origin string) Decision {
	switch {
	case origin == "" && !o.required, origin != "" && o.any, o.allowed[normalOrigin(origin)]:
		return allowed
	}
	return Decision{Code: messaging.CodeOriginNotAllowed}
}

// normalOrigin folds what RFC 6454 section 4 treats as equal: the case of
// scheme and host. A trailing slash, which people write in settings, is dropped.
func normalOrigin(origin string) string {
	return strings.ToLower(strings.TrimRight(origin, "/"))
}
