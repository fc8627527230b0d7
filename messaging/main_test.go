package messaging_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/messaging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received is when the gateway of these tests receives every event.
var received = time.Date(2025, 1, 31, 12, 0, 5, 0, time.UTC)

// decode decodes an envelope that must be accepted.
func decode(t testing.TB, c *messaging.Catalogue, raw string) messaging.Envelope {
	t.Helper()
	envelope, err := c.Decode([]byte(raw), messaging.DefaultMaxEventBytes)
	if err != nil {
		t.Fatalf("decode %.200s: %v", raw, err)
	}
	return envelope
}
