//go:build !unix

package faults

// raiseFileLimit has nothing to raise here.
func raiseFileLimit(uint64) (restore func(), err error) { return func() {}, nil }
