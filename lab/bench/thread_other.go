//go:build !linux

package bench

import (
	"errors"
	"time"
)

// threadTime returns the CPU time of the calling thread, which is known on Linux only.
func threadTime() (time.Duration, error) {
	return 0, errors.New("the CPU time of a thread is known on Linux only")
}
