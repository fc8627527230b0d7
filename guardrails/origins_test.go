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
			if got := origins.Decide(test.origin).Allowed(); got != test.allowed {
				t.Errorf("origin %q allowed: %t, want %t", test.origin, got, test.allowed)
			}
		})
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"", " , ", "localhost:5173", "a.example", "https://a.example/path", "https://user@a.example", "https://"} {
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
		if origins.Decide("").Allowed() {
			t.Errorf("list %q allows no origin, which is required", list)
		}
		if origins.Decide("https://never.invalid").Allowed() {
			if !strings.Contains(list, "*") && !strings.Contains(strings.ToLower(list), "never.invalid") {
				t.Errorf("list %q allows an origin that it does not name", list)
			}
			return
		}
		for entry := range strings.SplitSeq(list, ",") {
			entry = strings.TrimSpace(entry)
			if entry != "" && !origins.Decide(entry).Allowed() {
				t.Errorf("list %q does not allow %q", list, entry)
			}
		}
	})
}
