package projections

import (
	"fmt"
	"time"
)

// Config sets the bounds of a [Store]. Its zero value is not valid; start from
// [DefaultConfig].
type Config struct {
	// MaxBatch is the number of records that are written at once, at least 1.
	MaxBatch int
	// WriteTimeout bounds one write. What it cuts short is repeated.
	WriteTimeout time.Duration
	// ReadTimeout bounds one read; the caller's context may bound it further.
	ReadTimeout time.Duration
}

// DefaultConfig returns the bounds that suit a MongoDB in the same data centre.
func DefaultConfig() Config {
	return Config{
		MaxBatch:     256,
		WriteTimeout: 15 * time.Second,
		ReadTimeout:  5 * time.Second,
	}
}

// Validate names the first field that cannot be used, and what is allowed.
func (c Config) Validate() error {
	if c.MaxBatch < 1 {
		return fmt.Errorf("projections: MaxBatch is %d, must be at least 1", c.MaxBatch)
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"WriteTimeout", c.WriteTimeout},
		{"ReadTimeout", c.ReadTimeout},
	} {
		if field.value <= 0 {
			return fmt.Errorf("projections: %s is %s, must be positive", field.name, field.value)
		}
	}
	return nil
}
