package address_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/address"
)

func TestWithoutLogins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"https://a.example,*":      "https://a.example,*",
		"user@host":                "user@host",
		"nats-route://u:S3@a:6222": "nats-route://xxxxx@a:6222",
		`HOST is "redis://u:S@3@h:1": want a host`: `HOST is "redis://xxxxx@h:1": want a host`,
		"http://u:S3@a,http://v:S3@b":              "http://xxxxx@b",
	} {
		if got := address.WithoutLogins(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	cause := errors.New("cause")
	if err := address.Mask(fmt.Errorf("http://u:S3@a: %w", cause)); !errors.Is(err, cause) || strings.Contains(err.Error(), "S3") {
		t.Errorf("masked as %v", err)
	}
	if address.Mask(nil) != nil || address.Mask(cause) != cause {
		t.Error("an error without a login is not as it was")
	}
}
