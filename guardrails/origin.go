package guardrails

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxOriginBytes bounds an Origin header that is parsed. A host name has at most 253 bytes.
const maxOriginBytes = 512

// origin is a web origin (RFC 6454, section 4) in canonical form: lower case, the scheme of
// the page instead of the socket's, and no default port.
type origin struct {
	scheme, host, port string
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// pageSchemes maps the schemes of sockets to those of the pages that open them:
// some programs send the address that they connect to as their Origin.
var pageSchemes = map[string]string{"ws": "http", "wss": "https"}

// errOrigin is returned for text that no browser sends as an Origin.
var errOrigin = errors.New("want scheme://host[:port]")

// parseOrigin reads the serialization of an origin (RFC 6454, section 6.2). A
// trailing slash, which people write in settings, is dropped. The port may be "*".
func parseOrigin(text string) (origin, error) {
	if len(text) > maxOriginBytes {
		return origin{}, fmt.Errorf("%w of at most %d bytes", errOrigin, maxOriginBytes)
	}
	scheme, rest, found := strings.Cut(strings.ToLower(strings.TrimRight(text, "/")), "://")
	if !found || !isScheme(scheme) {
		return origin{}, errOrigin
	}
	if page := pageSchemes[scheme]; page != "" {
		scheme = page
	}
	host, port, err := splitHost(rest)
	if err != nil {
		return origin{}, err
	}
	if port == defaultPorts[scheme] {
		port = ""
	}
	return origin{scheme: scheme, host: host, port: port}, nil
}

// String returns the origin as browsers send it.
func (o origin) String() string { return o.scheme + "://" + o.address() }

// address returns host and port, the port where it is not the default.
func (o origin) address() string {
	if o.port == "" {
		return o.host
	}
	return o.host + ":" + o.port
}

// addressBytes is the length of [origin.address].
func (o origin) addressBytes() int {
	if o.port == "" {
		return len(o.host)
	}
	return len(o.host) + len(":") + len(o.port)
}

// place returns host and port without either default port: the address of a service,
// regardless of the scheme.
func (o origin) place() string {
	if o.port == "80" || o.port == "443" {
		return o.host
	}
	return o.address()
}

// splitHost parses host[:port] and returns it in lower case. An IPv6 address is in brackets
// and is returned in its shortest form.
func splitHost(text string) (host, port string, err error) {
	host = text
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		host, port = text[:colon], text[colon+1:]
	}
	if port != "" && port != "*" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return "", "", fmt.Errorf("%w: port %.8q is no port", errOrigin, port)
		}
		if port[0] == '0' {
			port = strconv.FormatUint(number, 10)
		}
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !address.Is6() || address.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return "", "", fmt.Errorf("%w: %.64q is no IPv6 address", errOrigin, host)
		}
		return "[" + address.String() + "]", port, nil
	}
	return host, port, checkHost(host)
}

// checkHost returns an error for a host that no browser sends.
func checkHost(host string) error {
	if host == "" {
		return errOrigin
	}
	for _, c := range []byte(host) {
		switch {
		case c >= 0x80:
			return fmt.Errorf("%w: write the international domain %.64q as browsers send it, in its ASCII form (xn--…)", errOrigin, host)
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '*':
		default:
			return fmt.Errorf("%w: a host has no %q", errOrigin, c)
		}
	}
	return nil
}

// maxHostBytes and maxLabelBytes bound a host name and each of its labels (RFC 1035,
// section 2.3.4), without which no name can be looked up.
const maxHostBytes, maxLabelBytes = 253, 63

// checkSent returns an error for a configured origin that no browser sends, because the
// setting would match nothing.
func (o origin) checkSent() error {
	switch {
	case o.scheme == "file":
		return errors.New("local files of anybody send null, and not file://, so that they cannot be listed; * allows them with all others")
	case len(o.String()) > maxOriginBytes:
		return fmt.Errorf("an origin of more than %d bytes is refused", maxOriginBytes)
	case strings.HasPrefix(o.host, "["), defaultPorts[o.scheme] == "":
		return nil // an address, or the page of a program such as app://. whose host is no name
	case len(o.host) > maxHostBytes:
		return fmt.Errorf("a host has at most %d bytes", maxHostBytes)
	}
	// The root's own dot may stand at the end.
	for label := range strings.SplitSeq(strings.TrimSuffix(o.host, "."), ".") {
		switch {
		case label == "":
			return errors.New("a label of the host is empty: want one dot between two labels, and none at the start")
		case len(label) > maxLabelBytes:
			return fmt.Errorf("the label %.16q… of the host has more than %d bytes", label, maxLabelBytes)
		}
	}
	return nil
}

func isScheme(scheme string) bool {
	for i, c := range []byte(scheme) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return scheme != ""
}

// originOfURL returns the origin of a URL in a setting. The URL may have a path.
func originOfURL(text string) (origin, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return origin{}, errors.New("want http[s]://host[:port]")
	}
	if scheme := strings.ToLower(u.Scheme); scheme != "http" && scheme != "https" {
		return origin{}, errors.New("want http[s]://host[:port]")
	}
	parsed, err := parseOrigin(u.Scheme + "://" + u.Host)
	if err == nil && strings.Contains(parsed.address(), "*") {
		err = errors.New("want one address, without *")
	}
	return parsed, err
}

// normalOrigin returns the form of an Origin header under which connections are counted.
func normalOrigin(text string) string {
	parsed, err := parseOrigin(text)
	switch {
	case err != nil:
		return strings.ToLower(strings.TrimRight(text, "/"))
	case len(text) == len(parsed.scheme)+len("://")+parsed.addressBytes() && text == strings.ToLower(text):
		return text // browsers send it in this form
	}
	return parsed.String()
}
