package publisher

import (
	"net/http"
	"testing"
	"time"
)

// A gateway, or a proxy that answers in its place, cannot make the publisher wait for a day.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "59": 59 * time.Second, "60": time.Minute, "86400": time.Minute, "4294967295": time.Minute,
		"99999999999999999999": time.Minute, "-5": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0, "1.5": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("Retry-After %q: %s, want %s", text, got, want)
		}
	}
}
