package ingest

import (
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Config bounds an [Ingest]. Start from [DefaultConfig]: zero values are not replaced by
// defaults.
type Config struct {
	// MaxEventBytes is the largest envelope that is accepted; a larger one is
	// refused as too-large.
	MaxEventBytes int
	// MaxDeadLetterBytes is how much of a refused event is kept for its dead letter; the log
	// may accept less. The dead letter of a larger event holds its beginning, and the detail
	// states its full size.
	MaxDeadLetterBytes int

	// MaxPendingEvents and MaxPendingBytes bound the events that were received and are not
	// in the log yet. At either bound the gateway stops reading from Redis, and publishing
	// over HTTP waits, until the backlog has shrunk to three quarters.
	MaxPendingEvents int
	MaxPendingBytes  int
	// MaxPendingLetters and MaxPendingLetterBytes bound the dead letters that wait for the
	// log; they are counted apart from events. At either bound the reader waits if letters
	// are being stored. If they cannot be stored, further letters are dropped and counted.
	MaxPendingLetters     int
	MaxPendingLetterBytes int
	// MaxPendingReceipts bounds the receipts waiting for Redis. At the bound a
	// receipt is dropped and counted.
	MaxPendingReceipts int
	// ReceiptSecret signs the messages on the receipts channel; see [messaging.ReceiptKey].
	// If it is empty, they are not signed.
	ReceiptSecret string

	// MaxBodyBytes is the largest body of a request to publish, at least MaxEventBytes.
	// MaxLines is the largest number of envelopes in an NDJSON body.
	MaxBodyBytes int
	MaxLines     int
	// MaxPublishRequests bounds the requests to publish that are under way,
	// MaxPublishBytes the memory of their bodies, at least MaxBodyBytes. At
	// either bound a request is refused as unavailable.
	MaxPublishRequests int
	MaxPublishBytes    int
	// PublishTimeout bounds how long a request waits for the log, once its body
	// is read.
	PublishTimeout time.Duration
	// BodyTimeout bounds how long a body may take to arrive, and how long the answer may
	// take to be sent.
	BodyTimeout time.Duration

	// DedupWindow is how long the log remembers a message id.
	DedupWindow time.Duration
	// MaxIdentities bounds the distinct payloads without an id that are remembered, at about
	// 200 bytes each. At the bound the payload received longest ago is forgotten, which
	// loses no event; see identities. It must be at least MaxPendingEvents.
	MaxIdentities int

	// ConnectTimeout bounds connecting and subscribing to Redis, and each read of the head
	// of the log.
	ConnectTimeout time.Duration
	// PingInterval is the time between pings on the subscription, and PingTimeout is how
	// long an answer may take. A connection on which nothing arrives for the sum of both is
	// closed.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// BackoffMin is the pause after the first failed attempt to subscribe. Each further
	// pause is half as long again, up to BackoffMax. Each pause varies by a quarter.
	BackoffMin time.Duration
	BackoffMax time.Duration
	// RetryInterval is the pause before a write that the log has refused is tried again.
	RetryInterval time.Duration
	// ReceiptTimeout bounds the publishing of one batch of receipts.
	ReceiptTimeout time.Duration
	// DrainTimeout bounds how long Run, after its context has ended, stores the events
	// received before.
	DrainTimeout time.Duration
}

// DefaultConfig returns the configuration of a gateway with the default limits
// of the contract and a log with a dedup window of five minutes.
func DefaultConfig() Config {
	return Config{
		MaxEventBytes:         messaging.DefaultMaxEventBytes,
		MaxDeadLetterBytes:    8 << 20,
		MaxPendingEvents:      10_000,
		MaxPendingBytes:       64 << 20,
		MaxPendingLetters:     10_000,
		MaxPendingLetterBytes: 16 << 20,
		MaxPendingReceipts:    10_000,
		MaxBodyBytes:          8 << 20,
		MaxLines:              1000,
		MaxPublishRequests:    256,
		MaxPublishBytes:       64 << 20,
		PublishTimeout:        10 * time.Second,
		BodyTimeout:           30 * time.Second,
		DedupWindow:           5 * time.Minute,
		MaxIdentities:         65_536,
		ConnectTimeout:        5 * time.Second,
		PingInterval:          2 * time.Second,
		PingTimeout:           3 * time.Second,
		BackoffMin:            20 * time.Millisecond,
		BackoffMax:            15 * time.Second,
		RetryInterval:         time.Second,
		ReceiptTimeout:        2 * time.Second,
		DrainTimeout:          10 * time.Second,
	}
}

// Validate returns an error that names the first field with an invalid value.
func (c Config) Validate() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxEventBytes", c.MaxEventBytes},
		{"MaxDeadLetterBytes", c.MaxDeadLetterBytes},
		{"MaxPendingEvents", c.MaxPendingEvents},
		{"MaxPendingBytes", c.MaxPendingBytes},
		{"MaxPendingLetters", c.MaxPendingLetters},
		{"MaxPendingLetterBytes", c.MaxPendingLetterBytes},
		{"MaxPendingReceipts", c.MaxPendingReceipts},
		{"MaxBodyBytes", c.MaxBodyBytes},
		{"MaxLines", c.MaxLines},
		{"MaxPublishRequests", c.MaxPublishRequests},
		{"MaxPublishBytes", c.MaxPublishBytes},
		{"MaxIdentities", c.MaxIdentities},
	} {
		if field.value < 1 {
			return fmt.Errorf("ingest: %s is %d, must be at least 1", field.name, field.value)
		}
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"PublishTimeout", c.PublishTimeout},
		{"BodyTimeout", c.BodyTimeout},
		{"DedupWindow", c.DedupWindow},
		{"ConnectTimeout", c.ConnectTimeout},
		{"PingInterval", c.PingInterval},
		{"PingTimeout", c.PingTimeout},
		{"BackoffMin", c.BackoffMin},
		{"BackoffMax", c.BackoffMax},
		{"RetryInterval", c.RetryInterval},
		{"ReceiptTimeout", c.ReceiptTimeout},
		{"DrainTimeout", c.DrainTimeout},
	} {
		if field.value <= 0 {
			return fmt.Errorf("ingest: %s is %s, must be more than 0", field.name, field.value)
		}
	}
	switch largest := max(c.MaxEventBytes, c.MaxDeadLetterBytes); {
	case c.MaxPendingBytes < largest:
		return fmt.Errorf("ingest: MaxPendingBytes is %d, must hold the largest event or dead letter, %d", c.MaxPendingBytes, largest)
	case c.MaxBodyBytes < c.MaxEventBytes:
		return fmt.Errorf("ingest: MaxBodyBytes is %d, must be at least MaxEventBytes, %d", c.MaxBodyBytes, c.MaxEventBytes)
	case c.MaxPublishBytes < c.MaxBodyBytes:
		return fmt.Errorf("ingest: MaxPublishBytes is %d, must be at least MaxBodyBytes, %d", c.MaxPublishBytes, c.MaxBodyBytes)
	case c.MaxIdentities < c.MaxPendingEvents:
		return fmt.Errorf("ingest: MaxIdentities is %d, must be at least MaxPendingEvents, %d", c.MaxIdentities, c.MaxPendingEvents)
	case c.BackoffMax < c.BackoffMin:
		return fmt.Errorf("ingest: BackoffMax is %s, must be at least BackoffMin, %s", c.BackoffMax, c.BackoffMin)
	}
	return nil
}
