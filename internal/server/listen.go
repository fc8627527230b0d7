package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrPort is matched when the HTTP port cannot be taken.
var ErrPort = errors.New("cannot listen on PORT")

// listenPublic takes the public port, or the UNIX socket in its place.
func (a *App) listenPublic() (net.Listener, error) {
	path, onUnix := a.cfg.UnixSocket()
	if !onUnix {
		listener, err := a.listen("listener", "tcp", a.cfg.Address())
		if err != nil {
			return nil, fmt.Errorf("%w %d: %w", ErrPort, a.cfg.Port, err)
		}
		return listener, nil
	}
	listener, err := a.listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("LISTEN: %w", err)
	}
	return listener, nil
}

// listen takes an address until the application stops.
func (a *App) listen(name, network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	a.parts.onStop(name, func(context.Context) error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return listener, nil
}

// listenUnix makes a UNIX socket, in the place of one that a process which was killed has
// left. It is removed when the application stops.
func (a *App) listenUnix(path string) (net.Listener, error) {
	mode, err := a.cfg.SocketMode()
	if err != nil {
		return nil, err
	}
	if err := removeAbandoned(path); err != nil {
		return nil, err
	}
	listener, err := a.listen("listener", "unix", path)
	if err != nil {
		return nil, err
	}
	return listener, os.Chmod(path, mode)
}

// removeAbandoned removes a UNIX socket on which no process listens. It leaves any other
// file, which then is in the way.
func removeAbandoned(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // absent, or refused by the system when the socket is made
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("a process listens on %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// thisMachine is what the connections of a UNIX socket come from.
var thisMachine = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
