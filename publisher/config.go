package publisher

import (
	"fmt"
	"net/url"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Config is how a [Publisher] behaves. Start from [DefaultConfig].
type Config struct {
	// Catalogue has the kinds of events, and MaxEventBytes is the largest
	// envelope, in bytes: both as the gateways have them.
	Catalogue     *messaging.Catalogue
	MaxEventBytes int

	// MaxEvents and MaxBytes bound what waits for receipts.
	MaxEvents int
	MaxBytes  int

	// Dir is the folder of the journal, which keeps the outbox through a crash of
	// the process; empty for none. It belongs to one publisher at a time. Sync
	// writes each event down to the disk before Publish returns, so that it
	// survives a power loss too.
	Dir  string
	Sync bool

	// ReceiptSecret is the gateways' RECEIPT_SECRET: a receipt without its digest is
	// ignored, so that nobody else who may publish in Redis can end the repeating of
	// an event. Empty: every receipt is taken.
	ReceiptSecret string
	// ReceiptTimeout is how long a receipt may take before the event is repeated.
	ReceiptTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause that is added before a repeat; it
	// doubles, and varies by a quarter either way.
	MinBackoff, MaxBackoff time.Duration
	// GiveUpAfter is how long an event is repeated, from when it was sent first;
	// 0 for as long as the publisher runs.
	GiveUpAfter time.Duration
	// DrainTimeout is how long [Publisher.Run] still sends what waits after its
	// context has ended.
	DrainTimeout time.Duration

	// URL is a gateway such as https://gateway:3001, to which events go over HTTP
	// while Redis is away; empty for none. Token is the bearer token for it.
	URL   string
	Token string
	// FallbackAfter is how long Redis has been away, or no receipt has come, when
	// events begin to go over HTTP.
	FallbackAfter time.Duration

	// OnReceipt, OnRejected and OnFull are told what becomes of events, and that
	// the bound is met, once until there is room again. Nil for none. An event
	// that was given up is rejected with [ErrGivenUp].
	OnReceipt  func(messaging.Receipt)
	OnRejected func(id, jobID string, err error)
	OnFull     func(events, bytes int)
}

// DefaultConfig returns the settings of a worker without a journal and without a
// way over HTTP.
func DefaultConfig() Config {
	return Config{
		Catalogue:      messaging.DefaultCatalogue(),
		MaxEventBytes:  messaging.DefaultMaxEventBytes,
		MaxEvents:      10_000,
		MaxBytes:       64 << 20,
		ReceiptTimeout: time.Second,
		MinBackoff:     100 * time.Millisecond,
		MaxBackoff:     5 * time.Second,
		DrainTimeout:   10 * time.Second,
		FallbackAfter:  5 * time.Second,
	}
}

// Validate names the first field that cannot be served.
func (c Config) Validate() error {
	wrong := func(field string, value any, want string) error {
		return fmt.Errorf("publisher: %s is %v: want %s", field, value, want)
	}
	switch {
	case c.Catalogue == nil:
		return wrong("Catalogue", "nil", "a catalogue, such as messaging.DefaultCatalogue()")
	case c.MaxEventBytes < 1:
		return wrong("MaxEventBytes", c.MaxEventBytes, "1 or more")
	case c.MaxEvents < 1:
		return wrong("MaxEvents", c.MaxEvents, "1 or more")
	case c.MaxBytes < c.MaxEventBytes:
		return wrong("MaxBytes", c.MaxBytes, "MaxEventBytes or more")
	case c.ReceiptTimeout <= 0:
		return wrong("ReceiptTimeout", c.ReceiptTimeout, "more than 0")
	case c.MinBackoff <= 0 || c.MaxBackoff < c.MinBackoff:
		return wrong("MinBackoff to MaxBackoff", fmt.Sprint(c.MinBackoff, " to ", c.MaxBackoff), "more than 0, and the larger one last")
	case c.GiveUpAfter < 0:
		return wrong("GiveUpAfter", c.GiveUpAfter, "0 (never) or more")
	case c.DrainTimeout < 0:
		return wrong("DrainTimeout", c.DrainTimeout, "0 or more")
	case c.FallbackAfter <= 0:
		return wrong("FallbackAfter", c.FallbackAfter, "more than 0")
	}
	if c.URL == "" {
		return nil
	}
	address, err := url.Parse(c.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return wrong("URL", fmt.Sprintf("%q", c.URL), "an address such as https://gateway:3001")
	}
	return nil
}
