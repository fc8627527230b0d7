package guardrails_test

import (
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		list     string
		required bool
		origin   string
		allowed  bool
	}{
		{name: "listed", list: "http://localhost:5173", origin: "http://localhost:5173", allowed: true},
		{name: "second in the list", list: "https://a.example, https://b.example", origin: "https://b.example", allowed: true},
		{name: "case and slash of the setting", list: "HTTPS://A.example/", origin: "https://a.example", allowed: true},
		{name: "not listed", list: "https://a.example", origin: "https://evil.example"},
		{name: "listed as a prefix only", list: "https://a.example", origin: "https://a.example.evil"},
		{name: "another port", list: "http://localhost:5173", origin: "http://localhost:5174"},
		{name: "another scheme", list: "https://a.example", origin: "http://a.example"},
		{name: "opaque origin", list: "https://a.example", origin: "null"},
		{name: "any", list: "*", origin: "https://whoever.example", allowed: true},
		{name: "any, opaque", list: "*", origin: "null", allowed: true},
		{name: "no origin", list: "https://a.example", allowed: true},
		{name: "no origin, required", list: "https://a.example", required: true},
		{name: "no origin, any, required", list: "*", required: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			origins, err := guardrails.ParseOrigins(test.list, test.required)
			if err != nil {
				t.Fatal(err)
			}
			if got := origins.Decide(test.origin, "").Allowed(); got != test.allowed {
				t.Errorf("origin %q allowed: %t, want %t", test.origin, got, test.allowed)
			}
		})
	}
}

// TestOriginsAsPeopleWriteThem has settings that look right and used to match
// nothing that a client sends.
func TestOriginsAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		list, origin string
		allowed      bool
	}{
		{"https://app.example:443", "https://app.example", true},
		{"http://app.example:80", "http://app.example", true},
		{"https://app.example", "https://app.example:443", true},
		{"https://app.example:80", "https://app.example", false},
		{"wss://app.example", "https://app.example", true},
		{"ws://app.example:3001", "http://app.example:3001", true},
		{"https://app.example:0443", "https://app.example", true},
		{"capacitor://localhost", "capacitor://localhost", true},
		{"app://.", "app://.", true},
		{"https://app.example.", "https://app.example.", true},
		{"http://[0:0:0:0:0:0:0:1]:80", "http://[::1]", true},
		{"https://*.example.org", "https://pr-12.example.org", true},
		{"https://*.example.org", "https://a.b.example.org", true},
		{"https://*.example.org", "https://example.org", false},
		{"https://*.example.org", "https://.example.org", false},
		{"https://*.example.org", "https://evil-example.org", false},
		{"https://*.example.org", "https://pr-12.example.org.evil.test", false},
		{"https://*.example.org", "http://pr-12.example.org", false},
		{"https://*.example.org", "https://pr-12.example.org:8443", false},
		{"https://*.example.org:443", "https://pr-12.example.org", true},
		{"https://app-*-team.host.example", "https://app-7f-team.host.example", true},
		{"https://app-*-team.host.example", "https://app-7f.evil-team.host.example", false},
		{"http://localhost:*", "http://localhost:4173", true},
		{"http://localhost:*", "http://localhost", true},
		{"http://localhost:*", "http://localhost.evil.example:4173", false},
		{"http://*.localhost", "http://app.localhost", true},
	}
	for _, test := range tests {
		origins, err := guardrails.ParseOrigins(test.list, true)
		if err != nil {
			t.Errorf("%s: %v", test.list, err)
			continue
		}
		if got := origins.Decide(test.origin, "gateway.test").Allowed(); got != test.allowed {
			t.Errorf("%s: origin %s allowed: %t, want %t", test.list, test.origin, got, test.allowed)
		}
	}
}

// TestOwnAddress has programs that send the address they connect to as their
// Origin, and pages that pretend to.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		origin, host string
		standing     guardrails.Standing
	}{
		{"https://rt.example", "10.0.0.7:3001", guardrails.StandingOwn},
		{"http://rt.example", "10.0.0.7:3001", guardrails.StandingOwn},
		{"https://rt.example:443", "rt.example", guardrails.StandingOwn},
		{"http://rt.example:443", "rt.example", guardrails.StandingOwn},
		{"wss://rt.example", "rt.example", guardrails.StandingOwn},
		{"http://gateway:3001", "gateway:3001", guardrails.StandingOwn},
		{"http://rt.example:3001", "rt.example", guardrails.StandingRefused},
		{"http://127.0.0.1:3001", "127.0.0.1:3001", guardrails.StandingOwn},
		{"http://localhost:3001", "localhost:3001", guardrails.StandingOwn},
		{"http://[::1]:3001", "[::1]:3001", guardrails.StandingOwn},
		{"http://192.168.1.5:3001", "192.168.1.5:3001", guardrails.StandingOwn},
		{"http://localhost:3000", "localhost:3001", guardrails.StandingRefused},
		{"http://evil.example", "127.0.0.1:3001", guardrails.StandingRefused},
		// A page of evil.example whose name was made to resolve to the service.
		{"http://evil.example:3001", "evil.example:3001", guardrails.StandingRefused},
		{"http://127.0.0.1.evil.example:3001", "127.0.0.1.evil.example:3001", guardrails.StandingRefused},
		{"null", "null", guardrails.StandingRefused},
		{"https://app.example", "rt.example", guardrails.StandingListed},
		{"", "rt.example", guardrails.StandingAbsent},
	}
	origins, err := guardrails.ParseOrigins("https://app.example", false)
	if err != nil {
		t.Fatal(err)
	}
	if origins, err = origins.WithOwn("https://rt.example/rt/, http://gateway:3001"); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if got := origins.Standing(test.origin, test.host); got != test.standing {
			t.Errorf("origin %q at %q: standing %d, want %d", test.origin, test.host, got, test.standing)
		}
	}
	for _, urls := range []string{"rt.example", "ftp://rt.example", "https://*.example.org", "https://user@rt.example", "https://"} {
		if _, err := origins.WithOwn(urls); err == nil {
			t.Errorf("address %q was accepted", urls)
		}
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	t.Parallel()
	for _, list := range []string{
		"", " , ", "localhost:5173", "a.example", "https://a.example/path", "https://user@a.example", "https://",
		"null", "https://bücher.example", "https://*", "https://*.org", "https://*.*.example.org", "https://a.*.example.org", "https://a.example:x",
		"https://a.example:0", "https://a.example:65536", "https://a.example;https://b.example", "https://[::1", "\"https://a.example\"", "https://a.example?x",
		"https://.example.org", "https://a..b", "https://.", "https://a.example..", "file://x", "FILE://localhost", "https://*..example.org", "https://.*.example.org",
		"https://" + strings.Repeat("a", 64) + ".example", "https://" + strings.Repeat("a.", 125) + "example", "https://" + strings.Repeat("a.", 200) + "example",
	} {
		if _, err := guardrails.ParseOrigins(list, false); err == nil {
			t.Errorf("list %q was accepted", list)
		}
	}
}

// FuzzOrigins checks that a list allows what it names, in any case of letters,
// and nothing that goes on after it.
func FuzzOrigins(f *testing.F) {
	for _, seed := range []string{"http://localhost:5173", "https://a.example,https://b.example", "*", "", "https://a.example/", "null", "https://user@a.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		origins, err := guardrails.ParseOrigins(list, true)
		if err != nil {
			return
		}
		if origins.Decide("", "").Allowed() {
			t.Errorf("list %q allows no origin, which is required", list)
		}
		if origins.Decide("https://never.invalid", "").Allowed() {
			if !strings.Contains(list, "*") && !strings.Contains(strings.ToLower(list), "never.invalid") {
				t.Errorf("list %q allows an origin that it does not name", list)
			}
			return
		}
		for entry := range strings.SplitSeq(list, ",") {
			entry = strings.TrimSpace(entry)
			if entry != "" && !origins.Decide(entry, "").Allowed() {
				t.Errorf("list %q does not allow %q", list, entry)
			}
		}
	})
}
