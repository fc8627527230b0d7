//go:build !unix

package faults

// raiseFileLimit does nothing on this system.
func raiseFileLimit(uint64) (restore func(), err error) { return func() {}, nil }
