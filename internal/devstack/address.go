package devstack

import (
	"fmt"
	"net"
)

// claim reports whether addr can be listened on now. The error for a taken address matches
// [syscall.EADDRINUSE].
func claim(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", addr, err)
	}
	return listener.Close()
}
