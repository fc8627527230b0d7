package redisdial

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// Mode says how the server is found.
type Mode string

const (
	// Single is one server, at the address itself.
	Single Mode = "single"
	// Sentinel is the primary that the Sentinels at the addresses name.
	Sentinel Mode = "sentinel"
	// Cluster is a Redis Cluster, of which the addresses are some nodes.
	Cluster Mode = "cluster"
)

// Modes lists all.
var Modes = []Mode{Single, Sentinel, Cluster}

// maxAddresses bounds the addresses in one URL.
const maxAddresses = 32

// Config says where Redis is.
type Config struct {
	// URL is redis[s]://[user:password@]host:port[,host:port…][/database]. More than one
	// address needs Mode Sentinel or Cluster. User, password and database are those of
	// the servers that carry the events.
	URL string
	// Mode says what the addresses are; empty: [Single].
	Mode Mode
	// MasterName is the name by which the Sentinels know the primary.
	MasterName string
	// SentinelUser and SentinelPassword are for the Sentinels; empty: none.
	SentinelUser, SentinelPassword string
	// TLS is used with rediss://, for the Sentinels, too.
	TLS tlsfiles.Files
}

// parse returns the client's options with the first address, and all addresses.
func (c Config) parse() (*redis.Options, []string, error) {
	c.Mode = cmp.Or(c.Mode, Single)
	first, addresses := c.URL, []string(nil)
	if scheme, rest, found := strings.Cut(c.URL, "://"); found {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		at := strings.LastIndexByte(rest[:end], '@') + 1
		if strings.Contains(rest[:at], ",") {
			return nil, nil, errors.New("user and password stand before the first address, with a comma as %2C")
		}
		hosts := strings.Split(rest[at:end], ",")
		if len(hosts) > maxAddresses {
			return nil, nil, fmt.Errorf("%d addresses, at most %d", len(hosts), maxAddresses)
		}
		for _, host := range hosts {
			address, err := withPort(scheme, strings.TrimSpace(host), c.Mode)
			if err != nil {
				return nil, nil, err
			}
			addresses = append(addresses, address)
		}
		first = scheme + "://" + rest[:at] + addresses[0] + rest[end:]
	}
	options, err := redis.ParseURL(first)
	if err != nil {
		return nil, nil, errors.New("it is no address of Redis") // the cause repeats the password
	}
	switch {
	case c.Mode == Single && len(addresses) > 1:
		return nil, nil, errors.New("several addresses need a mode of their own")
	case c.Mode == Cluster && options.DB != 0:
		return nil, nil, errors.New("a Redis Cluster has database 0 only")
	case c.Mode == Sentinel && c.MasterName == "":
		return nil, nil, errors.New("the name of the primary is missing")
	case c.Mode == Cluster && strings.Contains(c.URL, "?"):
		return nil, nil, errors.New("a Redis Cluster takes no options in the address")
	}
	return options, addresses, nil
}

// withPort returns the address of a host, with the port of its mode if it has none.
func withPort(scheme, host string, mode Mode) (string, error) {
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Hostname() == "" || u.User != nil {
		if host == "" || strings.HasPrefix(host, ":") {
			return net.JoinHostPort("localhost", portOr(strings.TrimPrefix(host, ":"), mode)), nil // as the client does
		}
		return "", errors.New("an address is no host:port")
	}
	return net.JoinHostPort(u.Hostname(), portOr(u.Port(), mode)), nil
}

func portOr(port string, mode Mode) string {
	switch {
	case port != "":
		return port
	case mode == Sentinel:
		return "26379"
	}
	return "6379"
}

// Check says what is wrong with the settings, without connecting.
func (c Config) Check() error {
	options, _, err := c.parse()
	if err == nil && options.TLSConfig != nil {
		err = c.TLS.Check()
	}
	return err
}
