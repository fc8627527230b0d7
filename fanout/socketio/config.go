package socketio

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// ErrConfig is wrapped by the errors of [Config.Validate].
var ErrConfig = errors.New("socketio: invalid configuration")

// Intake limits how fast one client is read.
type Intake = engineio.Intake

// Config is the configuration of a [Server]. Start from [DefaultConfig].
type Config struct {
	// Path is the path of the server, with and without a trailing slash; paths below it are
	// refused.
	Path string
	// Namespaces are the namespaces to which a client may connect. A connection is closed
	// after 16 refused CONNECTs.
	Namespaces []string
	// PingInterval and PingTimeout are those of the heartbeat: the pause between a client's
	// last packet and the next ping, and how long a ping may remain unanswered.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// ConnectTimeout is how long a connection may be without a namespace.
	ConnectTimeout time.Duration
	// WriteTimeout is how long a client may accept no bytes at all while some wait for it.
	// Slow progress does not count as a timeout.
	WriteTimeout time.Duration
	// UpgradeTimeout is how long an upgrade to WebSocket may take.
	UpgradeTimeout time.Duration
	// BodyTimeout is how long the body of one POST of long-polling may take.
	BodyTimeout time.Duration
	// DrainPeriod is the time over which [Server.Shutdown] spreads the closing of the
	// connections; 0 closes them all at once.
	DrainPeriod time.Duration
	// AttachmentTimeout is how long the attachments of a binary packet may take.
	AttachmentTimeout time.Duration
	// AckTimeout is how long [Socket.EmitWithAck] waits for the answer.
	AckTimeout time.Duration
	// MaxPayloadBytes bounds one incoming WebSocket message, one POST body,
	// and the attachments of one packet together.
	MaxPayloadBytes int64
	// MaxEventBytes bounds the name and the arguments of an event: an event that is larger
	// by more than 256 bytes is passed to [OversizeHandler] unread. Other packets, which may
	// contain a token, and one attachment may have at least 128 KiB. 0 means no bound except
	// MaxPayloadBytes.
	MaxEventBytes int
	// Compression allows the clients of WebSockets to negotiate permessage-deflate, see
	// [Socket.Deflates].
	Compression bool
	// NewIntake returns the limit on how fast the client of a request is read. There is no
	// limit if the function or its result is nil.
	NewIntake func(*http.Request) Intake
	// QueueBytes is the outgoing budget of a connection, see [Socket.Offer].
	QueueBytes int
	// MaxAttachments bounds the attachments of one incoming packet.
	MaxAttachments int
	// MaxPendingAcks bounds the pending answers of one socket.
	MaxPendingAcks int
	// Draining refuses a handshake with HTTP 503 while it returns true. Nil never refuses;
	// [Handler.Connect] can refuse with its own message.
	Draining func() bool
	// AllowOrigin decides whether a connection over polling that was opened without an
	// Origin may continue with one, given the request's Origin and Host. Nil allows all.
	AllowOrigin func(origin, host string) bool
	// KeepHeaders are the headers that [Socket.Request] keeps.
	KeepHeaders []string
}

// DefaultConfig returns the settings clients expect, with path /ws and the
// namespace "/".
func DefaultConfig() Config {
	transport := engineio.DefaultConfig()
	return Config{
		Path:              "/ws",
		Namespaces:        []string{"/"},
		PingInterval:      transport.PingInterval,
		PingTimeout:       transport.PingTimeout,
		ConnectTimeout:    10 * time.Second,
		WriteTimeout:      transport.WriteTimeout,
		UpgradeTimeout:    transport.UpgradeTimeout,
		BodyTimeout:       transport.BodyTimeout,
		AttachmentTimeout: 10 * time.Second,
		AckTimeout:        10 * time.Second,
		MaxPayloadBytes:   transport.MaxPayloadBytes,
		QueueBytes:        transport.QueueBytes,
		MaxAttachments:    10,
		MaxPendingAcks:    64,
		KeepHeaders:       transport.KeepHeaders,
	}
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case len(c.Namespaces) == 0:
		return fmt.Errorf("%w: Namespaces: want one or more", ErrConfig)
	case c.ConnectTimeout < time.Millisecond:
		return fmt.Errorf("%w: ConnectTimeout %s: want 1ms or more", ErrConfig, c.ConnectTimeout)
	case c.AttachmentTimeout < time.Millisecond:
		return fmt.Errorf("%w: AttachmentTimeout %s: want 1ms or more", ErrConfig, c.AttachmentTimeout)
	case c.AckTimeout < time.Millisecond:
		return fmt.Errorf("%w: AckTimeout %s: want 1ms or more", ErrConfig, c.AckTimeout)
	case c.MaxEventBytes < 0:
		return fmt.Errorf("%w: MaxEventBytes %d: want 0 or more", ErrConfig, c.MaxEventBytes)
	case c.MaxAttachments < 0:
		return fmt.Errorf("%w: MaxAttachments %d: want 0 or more", ErrConfig, c.MaxAttachments)
	case c.MaxPendingAcks < 0:
		return fmt.Errorf("%w: MaxPendingAcks %d: want 0 or more", ErrConfig, c.MaxPendingAcks)
	}
	for _, namespace := range c.Namespaces {
		if !strings.HasPrefix(namespace, "/") || strings.ContainsAny(namespace, ",?") {
			return fmt.Errorf("%w: Namespaces: %q: want a slash and then no comma or question mark", ErrConfig, namespace)
		}
	}
	if err := c.transport().Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// maxOtherBytes bounds packets that are not events, if events are bounded.
const maxOtherBytes = 128 << 10

func (c Config) transport() engineio.Config {
	mostBytes := 0
	if c.MaxEventBytes > 0 {
		mostBytes = max(c.MaxEventBytes, maxOtherBytes) + frameBytes + maxHeaderBytes
	}
	return engineio.Config{
		MaxMessageBytes: mostBytes,
		Compression:     c.Compression,
		NewIntake:       c.NewIntake,
		Path:            c.Path,
		PingInterval:    c.PingInterval,
		PingTimeout:     c.PingTimeout,
		WriteTimeout:    c.WriteTimeout,
		UpgradeTimeout:  c.UpgradeTimeout,
		BodyTimeout:     c.BodyTimeout,
		DrainPeriod:     c.DrainPeriod,
		MaxPayloadBytes: c.MaxPayloadBytes,
		QueueBytes:      c.QueueBytes,
		Draining:        c.Draining,
		AllowOrigin:     c.AllowOrigin,
		KeepHeaders:     c.KeepHeaders,
	}
}
