package engineio

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrConfig is wrapped by the errors of [Config.Validate].
var ErrConfig = errors.New("engineio: invalid configuration")

// Config is the configuration of a [Server]. Start from [DefaultConfig].
type Config struct {
	// Path is the path of the server, with and without a trailing slash; paths below it are
	// refused.
	Path string
	// PingInterval is the pause between a client's last packet and the next ping to it. It is up
	// to a 250th shorter, so that pings to many clients are sent together.
	PingInterval time.Duration
	// PingTimeout is how long a client may leave a ping unanswered.
	PingTimeout time.Duration
	// WriteTimeout is how long a client may accept no bytes at all while some wait for it.
	// Slow progress does not count as a timeout.
	WriteTimeout time.Duration
	// UpgradeTimeout is how long a probing WebSocket may take to finish the upgrade of its
	// session.
	UpgradeTimeout time.Duration
	// DrainPeriod is the time over which [Server.Shutdown] spreads the closing of the
	// sessions; 0 closes them all at once.
	DrainPeriod time.Duration
	// BodyTimeout is how long the body of one POST may take.
	BodyTimeout time.Duration
	// MaxPayloadBytes bounds one incoming WebSocket message and one POST body. A larger one
	// ends the connection.
	MaxPayloadBytes int64
	// MaxMessageBytes bounds one incoming message: of a larger one the beginning alone
	// is kept, and given to [OversizeReceiver]. 0 is no bound but MaxPayloadBytes.
	MaxMessageBytes int
	// Compression allows the clients of WebSockets to negotiate permessage-deflate (RFC
	// 7692). What they send compressed is bounded by its size without compression, and
	// frames of [DeflateEnd] may be sent to them.
	Compression bool
	// NewIntake returns the limit on how fast the client of a request is read. There is no
	// limit if the function or its result is nil.
	NewIntake func(*http.Request) Intake
	// QueueBytes is the outgoing budget of a session, from which on [Session.Offer] refuses.
	// The control frames of [Session.Send] have a budget of twice that size, so at most
	// three times QueueBytes, one offered frame and the frames of one call of Send wait at
	// once.
	QueueBytes int
	// AllowRequest refuses a handshake with "Forbidden" if it returns false. Nil allows all.
	AllowRequest func(*http.Request) bool
	// Draining refuses a handshake with status 503 and Retry-After while it returns true;
	// open sessions continue. Nil never refuses.
	Draining func() bool
	// AllowOrigin decides whether a session that was opened without an Origin may continue
	// with one, given the request's Origin and Host. Nil allows all.
	AllowOrigin func(origin, host string) bool
	// KeepHeaders are the request headers that [Session.Request] keeps after the handshake;
	// the others are dropped to keep an idle session small. A handshake is refused if these
	// headers, its query and its host have more than 8 KiB. Without Origin and Authorization
	// the later requests of a session are not compared with its handshake.
	KeepHeaders []string
}

// DefaultConfig returns the protocol's usual settings, with path /engine.io.
func DefaultConfig() Config {
	return Config{
		Path:            "/engine.io",
		PingInterval:    25 * time.Second,
		PingTimeout:     20 * time.Second,
		WriteTimeout:    10 * time.Second,
		UpgradeTimeout:  10 * time.Second,
		BodyTimeout:     30 * time.Second,
		MaxPayloadBytes: 1_000_000,
		QueueBytes:      256 << 10,
		KeepHeaders:     []string{"Authorization", "Forwarded", "Origin", "X-Forwarded-For"},
	}
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case !strings.HasPrefix(c.Path, "/") || strings.Trim(c.Path, "/") == "":
		return fmt.Errorf("%w: Path %q: want a path such as /ws", ErrConfig, c.Path)
	case c.PingInterval < time.Millisecond:
		return fmt.Errorf("%w: PingInterval %s: want 1ms or more", ErrConfig, c.PingInterval)
	case c.PingTimeout < time.Millisecond:
		return fmt.Errorf("%w: PingTimeout %s: want 1ms or more", ErrConfig, c.PingTimeout)
	case c.WriteTimeout < time.Millisecond:
		return fmt.Errorf("%w: WriteTimeout %s: want 1ms or more", ErrConfig, c.WriteTimeout)
	case c.UpgradeTimeout < time.Millisecond:
		return fmt.Errorf("%w: UpgradeTimeout %s: want 1ms or more", ErrConfig, c.UpgradeTimeout)
	case c.BodyTimeout < time.Millisecond:
		return fmt.Errorf("%w: BodyTimeout %s: want 1ms or more", ErrConfig, c.BodyTimeout)
	case c.DrainPeriod < 0:
		return fmt.Errorf("%w: DrainPeriod %s: want 0 or more", ErrConfig, c.DrainPeriod)
	case c.MaxPayloadBytes < 1:
		return fmt.Errorf("%w: MaxPayloadBytes %d: want 1 or more", ErrConfig, c.MaxPayloadBytes)
	case c.MaxMessageBytes != 0 && c.MaxMessageBytes < headBytes:
		return fmt.Errorf("%w: MaxMessageBytes %d: want 0, or %d or more", ErrConfig, c.MaxMessageBytes, headBytes)
	case c.QueueBytes < 1:
		return fmt.Errorf("%w: QueueBytes %d: want 1 or more", ErrConfig, c.QueueBytes)
	}
	return nil
}
