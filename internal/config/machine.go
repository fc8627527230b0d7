package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"github.com/letswriteabook/realtime/internal/natsserver"
)

// CheckMachine returns why a gateway with these settings could not start on this machine:
// an address that it cannot listen on, or a folder that it cannot write. The settings are
// valid, and the error matches [ErrInvalid]. It asks no server, starts nothing and leaves
// nothing behind. The start calls it, and so do the commands that check settings.
//
// An address that is taken is no error: as a rule a gateway runs on it.
func (c Config) CheckMachine() error {
	var problems []error
	for _, place := range c.Listeners() {
		if err := canListen(place.Address); err != nil {
			problems = append(problems, fmt.Errorf("%s: cannot listen on %s: %w: set it to an address of this machine, and a port that this user may take", place.Setting, place.Address, err))
		}
	}
	if path, onUnix := c.UnixSocket(); onUnix {
		if err := holdsSockets(filepath.Dir(path)); err != nil {
			problems = append(problems, fmt.Errorf("LISTEN: %w: set it to a path in a folder that exists, and that the user of the service may write", err))
		}
	}
	if c.ACMEHosts != "" {
		if err := natsserver.CheckFolder(c.ACMECache); err != nil {
			problems = append(problems, fmt.Errorf("ACME_CACHE_DIR: %w: set it to a folder that the user of the service may write", err))
		}
	}
	if c.NATSURL == "" {
		if err := natsserver.CheckFolder(c.DataDir); err != nil {
			problems = append(problems, fmt.Errorf("DATA_DIR: %w: set it to a folder that the user of the service may write, or set NATS_URL", err))
		}
		if _, _, err := c.Embedded(); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return invalid(problems)
	}
	return nil
}

// holdsSockets returns why no UNIX socket can be made in a folder.
func holdsSockets(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is a file, and not a folder", folder)
	}
	return natsserver.CheckWritable(folder)
}

// Listener is an address that a gateway listens on, and the setting that names it.
type Listener struct{ Setting, Address string }

// Listeners returns the ports that a gateway listens on.
func (c Config) Listeners() []Listener {
	var all []Listener
	if _, onUnix := c.UnixSocket(); !onUnix {
		all = append(all, Listener{"HOST and PORT (the public address)", c.Address()})
	}
	if c.AdminAddr != "" {
		all = append(all, Listener{"ADMIN_ADDR", c.AdminAddr})
	}
	if c.NATSURL == "" && c.NATSListen != "" {
		all = append(all, Listener{"NATS_LISTEN", c.NATSListen})
	}
	if c.NATSURL == "" && c.NATSCluster != "" {
		all = append(all, Listener{"NATS_CLUSTER_LISTEN", c.NATSClusterListen})
	}
	return all
}

// conflictingAddresses finds addresses that a gateway would listen on twice.
func (c Config) conflictingAddresses(add func(is, legal bool, format string, args ...any)) {
	all := c.Listeners()
	for i, one := range all {
		for _, other := range all[:i] {
			add(overlap(one.Address, other.Address), false,
				"%s is %q, and %s is %q: a gateway can listen on a port only once; give them different ports", one.Setting, one.Address, other.Setting, other.Address)
		}
	}
}

// overlap reports whether two addresses cannot be listened on at once. Names other than
// localhost are compared as they are.
func overlap(one, other string) bool {
	host, port, err := net.SplitHostPort(one)
	otherHost, otherPort, otherErr := net.SplitHostPort(other)
	if err != nil || otherErr != nil || port != otherPort || port == "0" {
		return false
	}
	host, otherHost = plainHost(host), plainHost(otherHost)
	return host == otherHost || host == "" || otherHost == ""
}

// plainHost returns one text for each way to write a host, empty for every interface.
func plainHost(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	parsed, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return host
	case parsed.IsUnspecified(): // [net.Listen] takes IPv4 and IPv6 with either
		return ""
	}
	return parsed.Unmap().String()
}

// canListen returns why no server can listen on an address. It takes a UDP socket, which is
// refused for the same reasons as a listener, and keeps the TCP port free for a gateway
// that starts at the same time. Where no name server answers, a name is not judged.
func canListen(address string) error {
	conn, err := net.ListenPacket("udp", address)
	var lookup *net.DNSError
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.EADDRINUSE), errors.As(err, &lookup) && !lookup.IsNotFound:
		return nil
	}
	var failed *net.OpError
	if errors.As(err, &failed) { // without the name of the probe, "listen udp"
		return failed.Err
	}
	return err
}
