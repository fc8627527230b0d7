package guardrails

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseProxies parses a comma-separated list of the proxies whose forwarding headers are
// trusted: networks such as "10.0.0.0/8, fd00::/8", or single addresses. An empty list
// trusts none. It refuses a network of all addresses, with which every client could claim
// any address, and a network whose address has bits beyond the prefix, in which one of the
// two must be wrong.
func ParseProxies(list string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		proxy, err := parseProxy(entry)
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

// mappedBits is how many bits of an IPv6 prefix stand before an IPv4 address
// (RFC 4291 section 2.5.5.2).
const mappedBits = 96

func parseProxy(entry string) (netip.Prefix, error) {
	if !strings.Contains(entry, "/") {
		address, err := netip.ParseAddr(entry)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("proxy %q: want an address or a network such as 10.0.0.0/8", entry)
		}
		address = plainAddress(address)
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	proxy, err := netip.ParsePrefix(entry)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("proxy %q: want an address or a network such as 10.0.0.0/8", entry)
	}
	if proxy.Addr().Is4In6() {
		if proxy.Bits() < mappedBits {
			return netip.Prefix{}, fmt.Errorf("proxy %q: want an IPv4 network written as such", entry)
		}
		proxy = netip.PrefixFrom(proxy.Addr().Unmap(), proxy.Bits()-mappedBits)
	}
	switch {
	case proxy.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("proxy %q: trusts every address; want the networks of your proxies", entry)
	case proxy != proxy.Masked():
		return netip.Prefix{}, fmt.Errorf("proxy %q: want %s for the network, or the address without /%d", entry, proxy.Masked(), proxy.Bits())
	}
	return proxy, nil
}
