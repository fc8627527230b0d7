package eventstore

import (
	"fmt"
	"time"
)

// Config holds the limits of the log. [DefaultConfig] returns one that serves.
type Config struct {
	// Domain is the JetStream domain that holds the log; empty for that of the server to
	// which the connection leads.
	Domain string
	// Replicas is the number of servers that hold each record: 1, 3 or 5.
	Replicas int
	// MaxBytes bounds the event stream on disk. A full stream refuses new
	// records rather than drop old ones.
	MaxBytes int64
	// MaxAge removes older records; 0 keeps them until MaxBytes is reached.
	MaxAge time.Duration
	// DuplicateWindow is how long a message id is remembered, from its first
	// append on. The server holds about 200 bytes for each id meanwhile.
	DuplicateWindow time.Duration
	// DeadLetterMaxBytes bounds the dead-letter stream on disk. Beyond it the
	// oldest letters go: a flood of poison must not stop good events.
	DeadLetterMaxBytes int64
	// MaxEventBytes is the largest body that will be appended. [Open] refuses a
	// server whose message limit cannot hold it.
	MaxEventBytes int
	// AckTimeout is how long one attempt to append waits for its
	// acknowledgement before the next is made.
	AckTimeout time.Duration
	// ReadTimeout bounds every single request of a read.
	ReadTimeout time.Duration
	// OpenTimeout is how long [Open] waits for JetStream to become available,
	// which in a starting cluster takes an election.
	OpenTimeout time.Duration
	// GuardInterval is how often [Log.Guard] compares the log with what is known of it
	// and renews the high-water marks. Every second time it looks for missing streams.
	GuardInterval time.Duration
	// RecreateWait is how long the event stream may be missing before [Log.Guard]
	// re-creates it: a restore that replaces the stream removes it first.
	RecreateWait time.Duration
	// Needs are the parts that run beside the log, for [Log.Exercise].
	Needs Needs
}

// DefaultConfig returns the limits of a single embedded server.
func DefaultConfig() Config {
	return Config{
		Replicas:           1,
		MaxBytes:           10 << 30,
		MaxAge:             0,
		DuplicateWindow:    5 * time.Minute,
		DeadLetterMaxBytes: 256 << 20,
		MaxEventBytes:      1_000_000,
		AckTimeout:         2 * time.Second,
		ReadTimeout:        5 * time.Second,
		OpenTimeout:        15 * time.Second,
		GuardInterval:      time.Second,
		RecreateWait:       10 * time.Second,
	}
}

// FieldError is returned by Validate of a Config for a field whose value cannot be served.
// A retry does not help.
type FieldError struct {
	// Config names the configuration, such as "eventstore", and Field its field.
	Config, Field string
	Value         any
	// Want is what the value has to be, such as "at least 1s".
	Want string
}

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s is %v, must be %s", e.Config, e.Field, e.Value, e.Want)
}

// Validate names the first field that cannot be served, with a [FieldError].
func (c Config) Validate() error {
	wrong := func(field string, value any, want string) error { return &FieldError{"eventstore", field, value, want} }
	switch {
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return wrong("Replicas", c.Replicas, "1, 3 or 5")
	case c.MaxBytes < 1<<20:
		return wrong("MaxBytes", c.MaxBytes, "at least 1 MiB")
	case c.MaxAge < 0:
		return wrong("MaxAge", c.MaxAge, "0 or more")
	case c.DuplicateWindow < time.Second:
		return wrong("DuplicateWindow", c.DuplicateWindow, "at least 1s")
	case c.MaxAge > 0 && c.DuplicateWindow > c.MaxAge:
		return wrong("DuplicateWindow", c.DuplicateWindow, fmt.Sprintf("at most the age at which events go, %s", c.MaxAge))
	case c.DeadLetterMaxBytes < 1<<20:
		return wrong("DeadLetterMaxBytes", c.DeadLetterMaxBytes, "at least 1 MiB")
	case c.MaxEventBytes < 1:
		return wrong("MaxEventBytes", c.MaxEventBytes, "at least 1")
	case c.AckTimeout <= 0:
		return wrong("AckTimeout", c.AckTimeout, "more than 0")
	case c.ReadTimeout <= 0:
		return wrong("ReadTimeout", c.ReadTimeout, "more than 0")
	case c.OpenTimeout <= 0:
		return wrong("OpenTimeout", c.OpenTimeout, "more than 0")
	case c.GuardInterval <= 0:
		return wrong("GuardInterval", c.GuardInterval, "more than 0")
	case c.RecreateWait <= 0:
		return wrong("RecreateWait", c.RecreateWait, "more than 0")
	}
	return nil
}
