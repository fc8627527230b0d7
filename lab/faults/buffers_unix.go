//go:build unix

package faults

import (
	"errors"
	"fmt"
	"syscall"
)

// smallBuffers gives a connection that is about to be opened small buffers on both sides.
func smallBuffers(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = errors.Join(
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBytes),
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segmentBytes),
		)
	})
	if err = errors.Join(err, set); err != nil {
		return fmt.Errorf("make the buffers small: %w", err)
	}
	return nil
}
