package natsserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// Cluster joins the server with others to one NATS cluster, whose JetStream keeps each
// record on as many of them as its stream asks for. The zero value is a server alone.
type Cluster struct {
	// Listen is the host:port for the other servers.
	Listen string
	// Node is the name of this server, different from those of the others and the same
	// after a restart: replicas are assigned by it.
	Node string
	// Routes are the host:port of the servers, one or more; this one may be among them.
	Routes []string
}

// clusterName is the name that servers of one cluster share.
const clusterName = "realtime"

// MaxRoutes bounds the servers of a cluster.
const MaxRoutes = 16

// Alone reports whether the server has no others.
func (c Cluster) Alone() bool { return len(c.Routes) == 0 }

// validate names the first field that cannot be served.
func (c Cluster) validate() error {
	if c.Alone() {
		return nil
	}
	if c.Node == "" || strings.ContainsAny(c.Node, " \t\r\n.*>") {
		return fmt.Errorf("natsserver: Node is %q, must be a name without spaces and dots", c.Node)
	}
	if _, port, err := splitListen(c.Listen); err != nil || port == 0 {
		return fmt.Errorf("natsserver: cluster address is %q, must be host:port with a port that the others know", c.Listen)
	}
	if len(c.Routes) > MaxRoutes {
		return fmt.Errorf("natsserver: %d routes, at most %d", len(c.Routes), MaxRoutes)
	}
	for _, route := range c.Routes {
		if _, port, err := splitListen(route); err != nil || port == 0 {
			return fmt.Errorf("natsserver: route is %q, must be host:port", route)
		}
	}
	return nil
}

// Users says who may connect. The zero value takes everybody.
type Users struct {
	// Name and Password are what clients show over TCP, and servers to each other.
	Name, Password string
	// TLS has the certificate for clients and for the other servers, and the authority
	// whose certificates both have to show; empty: no TLS.
	TLS tlsfiles.Files
}

// keepPrivate has a server of a cluster listen on this machine for clients that nobody is
// told of: nats-server connects to no other server before it listens for clients. Without
// users, a password that is in no place else keeps others on the machine out.
func (c *Config) keepPrivate() {
	c.Listen = "127.0.0.1:0"
	c.secret = rand.Text()
}

// clients returns the user of clients.
func (c Config) clients() Users {
	if c.Users.Name == "" && c.secret != "" {
		return Users{Name: clusterName, Password: c.secret}
	}
	return c.Users
}

// apply adds the users and the cluster to the options.
func (c Config) apply(opts *server.Options) error {
	clients := c.clients()
	opts.Username, opts.Password = clients.Name, clients.Password
	if !c.Users.TLS.Empty() {
		settings, err := server.GenTLSConfig(&server.TLSConfigOpts{
			CertFile: c.Users.TLS.Cert, KeyFile: c.Users.TLS.Key, CaFile: c.Users.TLS.CA, Verify: c.Users.TLS.CA != "",
		})
		if err != nil {
			return fmt.Errorf("read the certificate for NATS: %w", err)
		}
		opts.TLSConfig, opts.TLSTimeout, opts.TLSVerify = settings, tlsTimeoutSeconds, c.Users.TLS.CA != ""
	}
	if c.Cluster.Alone() {
		return nil
	}
	opts.ServerName = c.Cluster.Node
	opts.Cluster.Name = clusterName
	var err error
	if opts.Cluster.Host, opts.Cluster.Port, err = splitListen(c.Cluster.Listen); err != nil {
		return fmt.Errorf("listen for NATS servers on %s: %w", c.Cluster.Listen, err)
	}
	opts.Cluster.Username, opts.Cluster.Password = c.Users.Name, c.Users.Password
	if opts.TLSConfig != nil {
		routes := opts.TLSConfig.Clone()
		routes.RootCAs = routes.ClientCAs // a server dials the others, too
		opts.Cluster.TLSConfig, opts.Cluster.TLSTimeout = routes, tlsTimeoutSeconds
	}
	// A server that was cut off finds the others as soon as it can.
	opts.Cluster.ConnectRetries = -1
	for _, route := range c.Cluster.Routes {
		place := &url.URL{Scheme: "nats-route", Host: route}
		if c.Users.Name != "" {
			place.User = url.UserPassword(c.Users.Name, c.Users.Password)
		}
		opts.Routes = append(opts.Routes, place)
	}
	return free(c.Cluster.Listen, "NATS servers")
}

// tlsTimeoutSeconds is the time for a handshake; the server's own is 2 s.
const tlsTimeoutSeconds = 10

// free reports an address that is taken. nats-server reports it only as a line in its
// log. Another program may still take it between the two; then the caller gets that line.
func free(address, whom string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", whom, err)
	}
	return listener.Close()
}

// errTLSAlone says that half of a certificate is set.
var errTLSAlone = errors.New("natsserver: a certificate and its key are needed together with TLS")

func (u Users) validate() error {
	if (u.TLS.Cert == "") != (u.TLS.Key == "") || u.TLS.Cert == "" && u.TLS.CA != "" {
		return errTLSAlone
	}
	if (u.Name == "") != (u.Password == "") {
		return errors.New("natsserver: a user and a password are needed together")
	}
	return nil
}
