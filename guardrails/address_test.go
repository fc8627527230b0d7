package guardrails_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	const (
		proxy  = "10.0.0.1"
		inner  = "10.0.0.2"
		client = "203.0.113.7"
	)
	tests := []struct {
		name         string
		remote       string
		forwardedFor []string
		forwarded    []string
		want         string
	}{
		{name: "no header", remote: proxy, want: proxy},
		{name: "direct", remote: client, want: client},
		{name: "direct, with claims", remote: client, forwardedFor: []string{"198.51.100.1"}, forwarded: []string{"for=198.51.100.1"}, want: client},
		{name: "one proxy", remote: proxy, forwardedFor: []string{client}, want: client},
		{name: "a claim left of what the proxy wrote", remote: proxy, forwardedFor: []string{"198.51.100.1, " + client}, want: client},
		{name: "a claim of being a proxy", remote: proxy, forwardedFor: []string{"10.0.0.9," + client}, want: client},
		{name: "two proxies", remote: proxy, forwardedFor: []string{client + ", " + inner}, want: client},
		{name: "two proxies, two lines", remote: proxy, forwardedFor: []string{"198.51.100.1, " + client, inner}, want: client},
		{name: "proxies all the way", remote: proxy, forwardedFor: []string{"10.0.0.3, " + inner}, want: "10.0.0.3"},
		{name: "malformed at the right", remote: proxy, forwardedFor: []string{client + ", junk"}, want: proxy},
		{name: "malformed behind a proxy", remote: proxy, forwardedFor: []string{client + ", junk, " + inner}, want: inner},
		{name: "malformed left of the client", remote: proxy, forwardedFor: []string{"junk, " + client}, want: client},
		{name: "empty header", remote: proxy, forwardedFor: []string{""}, want: proxy},
		{name: "empty entry", remote: proxy, forwardedFor: []string{client + ", "}, want: proxy},
		{name: "port", remote: proxy, forwardedFor: []string{client + ":4711"}, want: client},
		{name: "port out of shape", remote: proxy, forwardedFor: []string{client + ":471100"}, want: proxy},
		{name: "port that is none", remote: proxy, forwardedFor: []string{client + ":"}, want: proxy},
		{name: "IPv6", remote: proxy, forwardedFor: []string{"2001:db8::17"}, want: "2001:db8::17"},
		{name: "IPv6 in brackets", remote: proxy, forwardedFor: []string{"[2001:db8::17]"}, want: "2001:db8::17"},
		{name: "IPv6 with a port", remote: proxy, forwardedFor: []string{"[2001:db8::17]:4711"}, want: "2001:db8::17"},
		{name: "IPv6 with a zone", remote: proxy, forwardedFor: []string{"fe80::1%eth0"}, want: "fe80::1"},
		{name: "IPv4 in brackets", remote: proxy, forwardedFor: []string{"[" + client + "]"}, want: proxy},
		{name: "bracket left open", remote: proxy, forwardedFor: []string{"[2001:db8::17"}, want: proxy},
		{name: "junk after the bracket", remote: proxy, forwardedFor: []string{"[2001:db8::17]4711"}, want: proxy},
		{name: "leading zeros", remote: proxy, forwardedFor: []string{"203.0.113.007"}, want: proxy},
		{name: "mapped entry", remote: proxy, forwardedFor: []string{"::ffff:" + client}, want: client},
		{name: "mapped entry that is a proxy", remote: proxy, forwardedFor: []string{client + ", ::ffff:" + inner}, want: client},
		{name: "mapped remote", remote: "::ffff:" + proxy, forwardedFor: []string{client}, want: client},
		{name: "remote with a zone", remote: "fd00::1%eth0", forwardedFor: []string{client}, want: client},
		{name: "tabs and spaces", remote: proxy, forwardedFor: []string{"\t" + client + " "}, want: client},

		{name: "forwarded", remote: proxy, forwarded: []string{"for=" + client}, want: client},
		{name: "forwarded with more to say", remote: proxy, forwarded: []string{`by=10.0.0.1;For="` + client + `";proto=https;host=a.example`}, want: client},
		{name: "forwarded with a port", remote: proxy, forwarded: []string{`for="` + client + `:4711"`}, want: client},
		{name: "forwarded with a hidden port", remote: proxy, forwarded: []string{`for="` + client + `:_p0rt"`}, want: client},
		{name: "forwarded with a nameless port", remote: proxy, forwarded: []string{`for="` + client + `:_"`}, want: proxy},
		{name: "forwarded IPv6", remote: proxy, forwarded: []string{`for="[2001:db8:cafe::17]"`}, want: "2001:db8:cafe::17"},
		{name: "forwarded IPv6 with a port", remote: proxy, forwarded: []string{`for="[2001:db8:cafe::17]:4711"`}, want: "2001:db8:cafe::17"},
		{name: "forwarded by two", remote: proxy, forwarded: []string{"for=198.51.100.1, for=" + client + ";proto=http, for=" + inner}, want: client},
		{name: "forwarded on two lines", remote: proxy, forwarded: []string{"for=" + client, "for=" + inner}, want: client},
		{name: "forwarded by somebody unknown", remote: proxy, forwarded: []string{"for=" + client + ", for=unknown"}, want: proxy},
		{name: "forwarded by somebody hidden", remote: proxy, forwarded: []string{"for=" + client + ", for=_gateway, for=" + inner}, want: inner},
		{name: "forwarded for nobody", remote: proxy, forwarded: []string{"for=" + client + ", proto=https"}, want: proxy},
		{name: "forwarded for two", remote: proxy, forwarded: []string{"for=" + client + ";for=198.51.100.1"}, want: proxy},
		{name: "separators inside quotes", remote: proxy, forwarded: []string{`host="a,b;for=198.51.100.1";for=` + client}, want: client},
		{name: "escaped quotes", remote: proxy, forwarded: []string{`host="a\",for=198.51.100.1";for=` + client}, want: client},
		{name: "a quote that the client left open", remote: proxy, forwarded: []string{`for="198.51.100.1, for=` + client}, want: proxy},
		{name: "a quote that the proxy's closes", remote: proxy, forwarded: []string{`for=198.51.100.1;by=", for="[2001:db8::17]"`}, want: proxy},
		{name: "a quote that the proxy's escapes close", remote: proxy, forwarded: []string{`for=198.51.100.1;by=", for="[2001:db8::17]";by="a\"b", for=10.0.0.2`}, want: inner},
		{name: "a quote left open where a name has to be", remote: proxy, forwarded: []string{`for=198.51.100.1;", for=` + client}, want: proxy},
		{name: "a parameter without a value", remote: proxy, forwarded: []string{"for=" + client + ";proto"}, want: proxy},
		{name: "a parameter with an empty value", remote: proxy, forwarded: []string{"for=" + client + ";proto="}, want: proxy},
		{name: "a semicolon too many", remote: proxy, forwarded: []string{";for=" + client + "; ;proto=https;"}, want: client},
		{name: "a quote left open on another line", remote: proxy, forwarded: []string{`for="198.51.100.1`, "for=" + client}, want: client},
		{name: "a line too long to be split", remote: proxy, forwarded: []string{strings.Repeat("x", 8<<10) + ", for=" + client}, want: proxy},

		{name: "both headers, one story", remote: proxy, forwardedFor: []string{client}, forwarded: []string{"for=" + client}, want: client},
		{name: "both headers, two stories", remote: proxy, forwardedFor: []string{client}, forwarded: []string{"for=198.51.100.1"}, want: proxy},
		{name: "both headers, one empty", remote: proxy, forwardedFor: []string{client}, forwarded: []string{""}, want: proxy},
	}
	trusted := parseProxies(t, "10.0.0.0/8, fd00::/8")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := guardrails.ClientAddress(netip.MustParseAddr(test.remote), test.forwardedFor, test.forwarded, trusted)
			if got != netip.MustParseAddr(test.want) {
				t.Errorf("address %s, want %s", got, test.want)
			}
		})
	}
}

func TestClientAddressWithoutARemote(t *testing.T) {
	t.Parallel()
	trusted := parseProxies(t, "10.0.0.0/8")
	if got := guardrails.ClientAddress(netip.Addr{}, []string{"203.0.113.7"}, nil, trusted); got.IsValid() {
		t.Errorf("a remote without an address is %s", got)
	}
	if got := guardrails.ClientAddress(netip.MustParseAddr("10.0.0.1"), []string{"203.0.113.7"}, nil, nil); got.String() != "10.0.0.1" {
		t.Errorf("without trusted proxies the address is %s", got)
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		list string
		want string
	}{
		{"", ""},
		{" , ", ""},
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.0.0.0/8, fd00::/8,192.0.2.1", "10.0.0.0/8 fd00::/8 192.0.2.1/32"},
		{"2001:db8::1", "2001:db8::1/128"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
	}
	for _, test := range tests {
		proxies, err := guardrails.ParseProxies(test.list)
		if err != nil {
			t.Errorf("list %q: %v", test.list, err)
		}
		var got []string
		for _, proxy := range proxies {
			got = append(got, proxy.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("list %q: %q, want %q", test.list, got, test.want)
		}
	}
}

func TestParseProxiesRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"localhost":          `proxy "localhost": want an address or a network such as 10.0.0.0/8`,
		"10.0.0.0/33":        `proxy "10.0.0.0/33": want an address or a network such as 10.0.0.0/8`,
		"10.0.0.1 10.0.0.2":  `proxy "10.0.0.1 10.0.0.2": want an address or a network such as 10.0.0.0/8`,
		"fe80::1%eth0":       `proxy "fe80::1%eth0": want an address or a network such as 10.0.0.0/8`,
		"0.0.0.0/0":          `proxy "0.0.0.0/0": trusts every address; want the networks of your proxies`,
		"10.0.0.0/8,::/0":    `proxy "::/0": trusts every address; want the networks of your proxies`,
		"::ffff:0.0.0.0/96":  `proxy "::ffff:0.0.0.0/96": trusts every address; want the networks of your proxies`,
		"::ffff:0.0.0.0/80":  `proxy "::ffff:0.0.0.0/80": want an IPv4 network written as such`,
		"10.0.0.1/8":         `proxy "10.0.0.1/8": want 10.0.0.0/8 for the network, or the address without /8`,
		"::ffff:10.0.0.1/99": `proxy "::ffff:10.0.0.1/99": want 0.0.0.0/3 for the network, or the address without /3`,
	}
	for list, want := range tests {
		if _, err := guardrails.ParseProxies(list); err == nil || err.Error() != want {
			t.Errorf("list %q: error %v, want %q", list, err, want)
		}
	}
}

// FuzzClientAddress writes what a trusted proxy appends behind whatever a client
// sent: the result is what the proxy wrote, or else the proxy.
func FuzzClientAddress(f *testing.F) {
	for _, seed := range []string{
		"", "198.51.100.1", "10.0.0.2", "for=198.51.100.1", `for="198.51.100.1`, `for="`, `for=198.51.100.1;by="`,
		`for=198.51.100.1;by="\`, `for="[2001:db8::1]:1", for=10.0.0.2`, "for=198.51.100.1;", ",,", "[", "[::1]:", "\x00", "for", "=",
	} {
		f.Add(seed)
	}
	trusted := parseProxies(f, "10.0.0.0/8")
	proxy := netip.MustParseAddr("10.0.0.1")
	isProxy := func(address netip.Addr) bool { return address == proxy || address == netip.MustParseAddr("10.0.0.2") }
	v4, v6 := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::17")
	f.Fuzz(func(t *testing.T, sent string) {
		if got := guardrails.ClientAddress(v4, []string{sent}, []string{sent}, trusted); got != v4 {
			t.Fatalf("a direct client is %s", got)
		}
		if got := guardrails.ClientAddress(proxy, []string{sent + ", 203.0.113.7"}, nil, trusted); got != v4 {
			t.Fatalf("X-Forwarded-For: address %s, want %s", got, v4)
		}
		for _, lines := range [][]string{{sent, "203.0.113.7"}, {sent, sent, "203.0.113.7:80, 10.0.0.2"}} {
			if got := guardrails.ClientAddress(proxy, lines, nil, trusted); got != v4 {
				t.Fatalf("X-Forwarded-For %q: address %s, want %s", lines, got, v4)
			}
		}
		for appended, want := range map[string]netip.Addr{
			"for=203.0.113.7":                              v4,
			`for="203.0.113.7:80";by="10.0.0.1"`:           v4,
			`proto=https;for="[2001:db8::17]:4711"`:        v6,
			`for="[2001:db8::17]";by="a\"b", for=10.0.0.2`: v6,
		} {
			got := guardrails.ClientAddress(proxy, nil, []string{sent + ", " + appended}, trusted)
			if got != want && !isProxy(got) {
				t.Fatalf("Forwarded: a client made itself %s before %q", got, appended)
			}
			if got := guardrails.ClientAddress(proxy, nil, []string{sent, appended}, trusted); got != want {
				t.Fatalf("Forwarded on a line of its own: address %s, want %s", got, want)
			}
		}
		// A header that the proxy lets through makes nobody somebody else.
		if got := guardrails.ClientAddress(proxy, []string{"203.0.113.7"}, []string{sent}, trusted); got != v4 && got != proxy {
			t.Fatalf("X-Forwarded-For beside Forwarded: address %s", got)
		}
		if got := guardrails.ClientAddress(proxy, []string{sent}, []string{"for=203.0.113.7"}, trusted); got != v4 && got != proxy {
			t.Fatalf("Forwarded beside X-Forwarded-For: address %s", got)
		}
		for _, got := range []netip.Addr{
			guardrails.ClientAddress(proxy, []string{sent}, nil, trusted), guardrails.ClientAddress(proxy, nil, []string{sent}, trusted),
		} {
			if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
				t.Fatalf("address %s is not plain", got)
			}
		}
	})
}

// FuzzParseProxies checks that what is accepted is a list of real networks, and
// stays the same when it is written out and read again.
func FuzzParseProxies(f *testing.F) {
	for _, seed := range []string{"", "10.0.0.0/8, fd00::/8", "192.0.2.1", "::ffff:10.0.0.0/104", "0.0.0.0/0", "fe80::1%eth0", "10.0.0.1/8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		proxies, err := guardrails.ParseProxies(list)
		if err != nil {
			return
		}
		var written []string
		for _, proxy := range proxies {
			if !proxy.IsValid() || proxy.Bits() == 0 || proxy != proxy.Masked() || proxy.Addr().Is4In6() {
				t.Fatalf("list %q gives %s", list, proxy)
			}
			written = append(written, proxy.String())
		}
		again, err := guardrails.ParseProxies(strings.Join(written, ","))
		if err != nil || !slices.Equal(again, proxies) {
			t.Fatalf("%v is read again as %v, %v", proxies, again, err)
		}
	})
}

func parseProxies(t testing.TB, list string) []netip.Prefix {
	t.Helper()
	proxies, err := guardrails.ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return proxies
}
