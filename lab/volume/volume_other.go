//go:build !linux

package volume

import (
	"fmt"
	"runtime"
)

// Volume cannot be mounted on this system.
type Volume struct{}

// Loss is what a loss of power took.
type Loss struct {
	Files int
	Bytes int64
}

// Mount returns an error that matches [ErrNoVolume].
func Mount(string, string) (*Volume, error) {
	return nil, fmt.Errorf("%w: it needs Linux, and this is %s", ErrNoVolume, runtime.GOOS)
}

// LosePower is never called, because Mount fails.
func (*Volume) LosePower() (Loss, error) { return Loss{}, ErrNoVolume }

// Close is never called.
func (*Volume) Close() error { return ErrNoVolume }

// Unsynced is never called.
func (*Volume) Unsynced(string) (int64, error) { return 0, ErrNoVolume }
