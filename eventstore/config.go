package eventstore

import (
	"fmt"
	"time"
)

// Config holds the limits of the log. [DefaultConfig] returns one that serves.
type Config struct {
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

// Validate names the first field that cannot be served.
func (c Config) Validate() error {
	switch {
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return fmt.Errorf("eventstore: Replicas is %d, must be 1, 3 or 5", c.Replicas)
	case c.MaxBytes < 1<<20:
		return fmt.Errorf("eventstore: MaxBytes is %d, must be at least 1 MiB", c.MaxBytes)
	case c.MaxAge < 0:
		return fmt.Errorf("eventstore: MaxAge is %s, must be 0 or more", c.MaxAge)
	case c.DuplicateWindow < time.Second:
		return fmt.Errorf("eventstore: DuplicateWindow is %s, must be at least 1s", c.DuplicateWindow)
	case c.MaxAge > 0 && c.DuplicateWindow > c.MaxAge:
		return fmt.Errorf("eventstore: DuplicateWindow is %s, must be at most MaxAge, %s", c.DuplicateWindow, c.MaxAge)
	case c.DeadLetterMaxBytes < 1<<20:
		return fmt.Errorf("eventstore: DeadLetterMaxBytes is %d, must be at least 1 MiB", c.DeadLetterMaxBytes)
	case c.MaxEventBytes < 1:
		return fmt.Errorf("eventstore: MaxEventBytes is %d, must be at least 1", c.MaxEventBytes)
	case c.AckTimeout <= 0:
		return fmt.Errorf("eventstore: AckTimeout is %s, must be more than 0", c.AckTimeout)
	case c.ReadTimeout <= 0:
		return fmt.Errorf("eventstore: ReadTimeout is %s, must be more than 0", c.ReadTimeout)
	case c.OpenTimeout <= 0:
		return fmt.Errorf("eventstore: OpenTimeout is %s, must be more than 0", c.OpenTimeout)
	case c.GuardInterval <= 0:
		return fmt.Errorf("eventstore: GuardInterval is %s, must be more than 0", c.GuardInterval)
	case c.RecreateWait <= 0:
		return fmt.Errorf("eventstore: RecreateWait is %s, must be more than 0", c.RecreateWait)
	}
	return nil
}
