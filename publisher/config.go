package publisher

import (
	"fmt"
	"net/url"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Config has the settings of a [Publisher]. Start from [DefaultConfig].
type Config struct {
	// Catalogue has the kinds of events, and MaxEventBytes is the size of the
	// largest envelope, in bytes. Both must be as at the gateways.
	Catalogue     *messaging.Catalogue
	MaxEventBytes int

	// MaxEvents and MaxBytes bound the events that wait for receipts.
	MaxEvents int
	MaxBytes  int

	// Dir is the folder of the journal, from which the outbox is restored after a
	// crash of the process; empty for no journal. Only one publisher may use a
	// folder at a time. With Sync, Publish syncs each event to disk before it
	// returns, so that the event survives a power loss too.
	Dir  string
	Sync bool

	// ReceiptSecret is the gateways' RECEIPT_SECRET. With it, the publisher ignores
	// receipts without a valid digest, so that other programs that may publish in
	// Redis cannot forge one. Empty accepts every receipt.
	ReceiptSecret string
	// ReceiptTimeout is how long to wait for a receipt before the event is repeated.
	ReceiptTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause before a repetition, which doubles
	// and varies at random by a quarter either way.
	MinBackoff, MaxBackoff time.Duration
	// GiveUpAfter is how long an event is repeated, counted from its first attempt;
	// 0 for as long as the publisher runs.
	GiveUpAfter time.Duration
	// DrainTimeout is how long [Publisher.Run] still sends waiting events after its
	// context has ended.
	DrainTimeout time.Duration

	// URL is a gateway, such as https://gateway:3001, to which events are sent over
	// HTTP while Redis is away; empty for none. Token is the bearer token for it.
	URL   string
	Token string
	// FallbackAfter is how long Redis must have been away, or no receipt have
	// arrived, before events are sent over HTTP.
	FallbackAfter time.Duration

	// OnReceipt and OnRejected are called with the outcome of each event; an event
	// that is given up is rejected with [ErrGivenUp]. OnFull is called when the
	// outbox reaches its bound, once until there is room again. Nil for no call.
	OnReceipt  func(messaging.Receipt)
	OnRejected func(id, jobID string, err error)
	OnFull     func(events, bytes int)
}

// DefaultConfig returns the settings of a worker without a journal and without HTTP.
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

// Validate returns an error that names the first invalid field.
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
