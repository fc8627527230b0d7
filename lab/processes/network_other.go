//go:build !linux

package processes

import (
	"context"
	"fmt"
	"net"
	"runtime"
)

// Network cannot be made on this system.
type Network struct{}

// NewNetwork returns an error that matches [ErrNoNetwork].
func NewNetwork(context.Context) (*Network, error) {
	return nil, fmt.Errorf("%w: %s has no network namespaces", ErrNoNetwork, runtime.GOOS)
}

// Addr is never called, because NewNetwork fails.
func (*Network) Addr() string { return "" }

// Cut is never called.
func (*Network) Cut(context.Context) error { return ErrNoNetwork }

// Mend is never called.
func (*Network) Mend(context.Context) error { return ErrNoNetwork }

// Dial is never called.
func (*Network) Dial(context.Context, *net.Dialer, string, string) (net.Conn, error) {
	return nil, ErrNoNetwork
}

// Close is never called.
func (*Network) Close() {}
