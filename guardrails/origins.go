package guardrails

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// Origins is the list of web origins (RFC 6454) that may open a socket. The zero value
// allows only clients that send no Origin. Its methods may be called concurrently.
type Origins struct {
	any      bool
	required bool
	listed   map[string]bool
	patterns []originPattern
	// own are the service's own public addresses, as origin.place gives them.
	own map[string]bool
}

// Standing says whether an origin may connect, and why.
type Standing uint8

const (
	// StandingRefused: the origin may not connect.
	StandingRefused Standing = iota
	// StandingAbsent: the request has no Origin and does not need one.
	StandingAbsent
	// StandingAnyone: every origin may connect.
	StandingAnyone
	// StandingOwn: the origin is the service's own address, which is sent by programs
	// that are not browsers and by pages that the service serves.
	StandingOwn
	// StandingListed: the origin is in the settings.
	StandingListed
)

// ParseOrigins parses a comma-separated list of origins such as
// "https://app.example,http://localhost:5173"; "*" allows every origin. In the first label
// of a host, "*" matches any letters; as the whole label it matches one or more labels:
// "https://*.app.example". As a port it matches any port. If required is set, a client that
// sends no Origin is refused.
//
// An entry that no browser sends is an error.
func ParseOrigins(list string, required bool) (Origins, error) {
	origins := Origins{required: required, listed: make(map[string]bool)}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if entry == "*" {
			origins.any = true
			continue
		}
		if err := origins.add(entry); err != nil {
			return Origins{}, fmt.Errorf("origin %q: %w", entry, err)
		}
	}
	if !origins.any && len(origins.listed)+len(origins.patterns) == 0 {
		return Origins{}, fmt.Errorf("origins %q: want at least one scheme://host[:port], or *", list)
	}
	return origins, nil
}

func (o *Origins) add(entry string) error {
	if strings.EqualFold(entry, "null") {
		return errors.New("sandboxed frames and local files of anybody send null, so that it cannot be listed; * allows it with all others")
	}
	parsed, err := parseOrigin(entry)
	if err != nil {
		return fmt.Errorf("%w, or *", err)
	}
	if err := parsed.checkSent(); err != nil {
		return err
	}
	if !strings.Contains(parsed.address(), "*") {
		o.listed[parsed.String()] = true
		return nil
	}
	pattern, err := newOriginPattern(parsed)
	if err != nil {
		return err
	}
	o.patterns = append(o.patterns, pattern)
	return nil
}

// WithOwn returns the list with the service's own public addresses, given as a
// comma-separated list of URLs, which may have paths. An Origin that names one of them may
// connect with any scheme, because many programs that are not browsers send the address to
// which they connect, some with http instead of https.
func (o Origins) WithOwn(urls string) (Origins, error) {
	own := make(map[string]bool)
	for entry := range strings.SplitSeq(urls, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		parsed, err := originOfURL(entry)
		if err != nil {
			return Origins{}, fmt.Errorf("address %q: %w", entry, err)
		}
		own[parsed.place()] = true
	}
	o.own = own
	return o, nil
}

// Any reports whether every origin may open a socket.
func (o Origins) Any() bool { return o.any }

// longestOrigin is the longest Origin that is allowed, even if all are: the Origin is kept
// and counted for each socket.
const longestOrigin = 256

// Decide decides about the value of a request's Origin header, which is empty if the
// request had none, and the value of its Host header.
func (o Origins) Decide(origin, host string) Decision {
	if o.Standing(origin, host) != StandingRefused {
		return allowed
	}
	return Decision{Code: messaging.CodeOriginNotAllowed}
}

// Standing returns whether a request with these values of Origin and Host may be answered,
// and why.
//
// Host counts only if it cannot be another party's name that was made to resolve to this
// service (DNS rebinding): an address, or localhost.
func (o Origins) Standing(origin, host string) Standing {
	if len(origin) > longestOrigin {
		return StandingRefused
	}
	if origin == "" {
		if o.required {
			return StandingRefused
		}
		return StandingAbsent
	}
	if o.listed[origin] { // as browsers send it
		return StandingListed
	}
	parsed, err := parseOrigin(origin)
	switch {
	case err == nil && o.lists(parsed):
		return StandingListed
	case err == nil && (o.own[parsed.place()] || isOwnHost(parsed, host)):
		return StandingOwn
	case o.any:
		return StandingAnyone
	}
	return StandingRefused
}

func (o Origins) lists(asked origin) bool {
	if o.listed[asked.String()] {
		return true
	}
	for _, pattern := range o.patterns {
		if pattern.matches(asked) {
			return true
		}
	}
	return false
}

// isOwnHost reports whether an origin is the address to which the request was sent, if
// nobody else can have chosen that address.
func isOwnHost(asked origin, host string) bool {
	name, port, err := splitHost(strings.ToLower(host))
	if err != nil || !isCertain(name) {
		return false
	}
	return (origin{host: name, port: port}).place() == asked.place()
}

// isCertain reports whether a host is the same machine for everyone who resolves it.
func isCertain(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// originPattern is an entry with a "*".
type originPattern struct {
	scheme, port string
	// head and tail surround the "*" of the host; without a "*", head is the host.
	head, tail string
	inHost     bool
	// deep is true if the "*" is the whole first label, and matches several labels too.
	deep bool
}

func newOriginPattern(entry origin) (originPattern, error) {
	pattern := originPattern{scheme: entry.scheme, port: entry.port}
	pattern.head, pattern.tail, pattern.inHost = strings.Cut(entry.host, "*")
	if !pattern.inHost {
		return pattern, nil
	}
	if strings.Contains(pattern.head, ".") || strings.Contains(pattern.tail, "*") {
		return pattern, errors.New("* may stand once in the host, in its first label, and for the port")
	}
	if _, parent, _ := strings.Cut(pattern.tail, "."); parent != "localhost" && !strings.Contains(strings.Trim(parent, "."), ".") {
		return pattern, errors.New("* has to stand below a domain of two labels, such as https://*.app.example")
	}
	pattern.deep = pattern.head == "" && strings.HasPrefix(pattern.tail, ".")
	return pattern, nil
}

func (p originPattern) matches(asked origin) bool {
	if p.scheme != asked.scheme || p.port != "*" && p.port != asked.port {
		return false
	}
	if !p.inHost {
		return p.head == asked.host
	}
	middle, found := strings.CutPrefix(asked.host, p.head)
	if !found || len(middle) <= len(p.tail) || !strings.HasSuffix(middle, p.tail) {
		return false
	}
	middle = middle[:len(middle)-len(p.tail)]
	return p.deep && !strings.HasPrefix(middle, ".") || !strings.Contains(middle, ".")
}
