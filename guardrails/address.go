package guardrails

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress returns the address of the client that sent a request. remote is the
// address of the other end of its connection. forwardedFor and forwarded are the values of
// its X-Forwarded-For and Forwarded headers, one string for each header line, in order.
// trusted are the trusted proxies, as [ParseProxies] returns them.
//
// Each proxy appends the address from which it was called. The headers are therefore read
// from the right, as long as the address that vouches for an entry is a trusted proxy;
// entries further left are chosen by the client. An entry that is not an address ends the
// walk at the proxy that wrote it. A proxy writes one of the headers and passes the other
// through, so if both are present and lead to different addresses, neither is used and
// remote is returned.
//
// The result has no zone, and an IPv4 address inside IPv6 is unwrapped. It is invalid only
// if remote is invalid.
func ClientAddress(remote netip.Addr, forwardedFor, forwarded []string, trusted []netip.Prefix) netip.Addr {
	remote = plainAddress(remote)
	switch {
	case !isTrusted(remote, trusted):
		return remote
	case len(forwarded) == 0:
		return walk(remote, hopsFor(forwardedFor), trusted)
	case len(forwardedFor) == 0:
		return walk(remote, hopsForwarded(forwarded), trusted)
	}
	address := walk(remote, hopsFor(forwardedFor), trusted)
	if address != walk(remote, hopsForwarded(forwarded), trusted) {
		return remote
	}
	return address
}

// walk follows hops from a trusted hop to the hop for which it vouches, until one is not
// trusted. It returns the last hop; an invalid address in hops stands for an unknown one.
func walk(hop netip.Addr, hops iter.Seq[netip.Addr], trusted []netip.Prefix) netip.Addr {
	for next := range hops {
		if !next.IsValid() {
			return hop
		}
		if hop = next; !isTrusted(hop, trusted) {
			return hop
		}
	}
	return hop
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// hopsFor reads X-Forwarded-For, a list of nodes, from the right.
func hopsFor(lines []string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				comma := strings.LastIndexByte(line, ',')
				if !yield(parseNode(trimSpace(line[comma+1:]))) {
					return
				}
				if more = comma >= 0; more {
					line = line[:comma]
				}
			}
		}
	}
}

// hopsForwarded reads Forwarded (RFC 7239 section 4) from the right.
//
//	Forwarded: for=192.0.2.43;proto=https, for="[2001:db8:cafe::17]:4711"
//	           └──────── element ────────┘  └───────── element ─────────┘
func hopsForwarded(lines []string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, line := range slices.Backward(lines) {
			if len(line) > maxForwardedBytes {
				yield(netip.Addr{})
				return
			}
			for _, element := range slices.Backward(splitUnquoted(line, ',')) {
				if !yield(parseElement(element)) {
					return
				}
			}
		}
	}
}

// maxForwardedBytes bounds one line of Forwarded, which has to be split as a
// whole before it can be read from the right.
const maxForwardedBytes = 8 << 10

// splitUnquoted cuts text at each separator outside quoted strings (RFC 9110
// section 5.6.4). A quote that is left open reaches to the end of the text.
func splitUnquoted(text string, separator byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// parseElement returns the address in the for parameter of an element, or an invalid
// address. All parameters must be well-formed: a quote that a client left open swallows
// what a proxy wrote after it, up to the proxy's own quote, which shows only in an invalid
// name or in text after the closing quote.
func parseElement(element string) netip.Addr {
	var address netip.Addr
	seen := false
	for _, pair := range splitUnquoted(element, ';') {
		if pair = trimSpace(pair); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		text, ok := unquote(value)
		isFor := strings.EqualFold(name, "for")
		if !ok || !isToken(name) || isFor && seen {
			return netip.Addr{}
		}
		if isFor {
			address, seen = parseNode(text), true
		}
	}
	return address
}

// unquote returns the text between the quotes of a quoted string, including escapes, which
// addresses do not contain, and any other value unchanged. It fails for an empty value and
// for misplaced quotes and escapes.
func unquote(value string) (text string, ok bool) {
	if value == "" || value[0] != '"' {
		return value, value != "" && !strings.ContainsAny(value, `"\`)
	}
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			return value[1:i], i == len(value)-1
		}
	}
	return "", false
}

// isToken reports whether text is a token of HTTP (RFC 9110 section 5.6.2).
func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// parseNode reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// [2001:db8::1]:80, [2001:db8::1] and, as X-Forwarded-For has it, 2001:db8::1.
// Anything else, such as RFC 7239's unknown and _hidden, gives an invalid one.
func parseNode(node string) netip.Addr {
	host, port, bracketed := node, "", false
	if inner, found := strings.CutPrefix(node, "["); found {
		bracketed = true
		if host, port, found = strings.Cut(inner, "]"); !found {
			return netip.Addr{}
		}
	} else if colon := strings.IndexByte(node, ':'); colon >= 0 && colon == strings.LastIndexByte(node, ':') {
		host, port = node[:colon], node[colon:]
	}
	address, err := netip.ParseAddr(host)
	if err != nil || bracketed && !address.Is6() || !validPort(port) {
		return netip.Addr{}
	}
	return plainAddress(address)
}

// validPort accepts nothing, or a colon and RFC 7239's node-port: up to five
// digits, or an underscore and a name that stands for them.
func validPort(port string) bool {
	if port == "" {
		return true
	}
	digits, found := strings.CutPrefix(port, ":")
	if !found {
		return false
	}
	if name, hidden := strings.CutPrefix(digits, "_"); hidden {
		return name != "" && strings.IndexFunc(name, func(r rune) bool {
			return !isAlphanumeric(r) && !strings.ContainsRune("._-", r)
		}) < 0
	}
	return 1 <= len(digits) && len(digits) <= 5 && strings.Trim(digits, "0123456789") == ""
}

// trimSpace trims what HTTP calls optional white space.
func trimSpace(text string) string { return strings.Trim(text, " \t") }

// plainAddress drops the zone and unwraps an IPv4 address inside IPv6, so that
// equal peers have equal addresses.
func plainAddress(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }
