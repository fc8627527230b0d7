//go:build unix

package faults

import (
	"fmt"
	"syscall"
)

// raiseFileLimit raises the limit of open files of this process and its children to want,
// until restore is called.
func raiseFileLimit(want uint64) (restore func(), err error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read the limit of open files: %w", err)
	}
	before := limit
	if limit.Cur >= want {
		return func() {}, nil
	}
	if limit.Max < want {
		return nil, fmt.Errorf("%d files have to be open, and %d may be", want, limit.Max)
	}
	limit.Cur = want
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("raise the limit of open files: %w", err)
	}
	return func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }, nil
}
