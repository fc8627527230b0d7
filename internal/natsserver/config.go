package natsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Config says where the embedded server keeps its data and who may reach it.
type Config struct {
	// StoreDir is the folder of the JetStream files. It is made when absent.
	StoreDir string
	// Listen is the host:port for NATS clients over TCP; port 0 picks a free
	// one. Empty means that only this process can connect.
	Listen string
	// SyncAlways makes every acknowledged write reach the disk first, so that
	// it survives a power loss. Otherwise SyncInterval applies.
	SyncAlways bool
	// SyncInterval is the time between two writes of the page cache to disk:
	// what a power loss can take. A process that dies alone loses nothing.
	// Zero means defaultSyncInterval.
	SyncInterval time.Duration
	// Cluster joins the server with others.
	Cluster Cluster
	// Users says who may connect over TCP.
	Users Users
	// secret is the password of clients where the port for them is private.
	secret string
	// Logger receives what the server has to say; nil discards it.
	Logger *slog.Logger
}

// defaultSyncInterval bounds what a power loss takes when SyncAlways is off.
// The server's own default is two minutes.
const defaultSyncInterval = 10 * time.Second

// MaxPayloadBytes is the largest message the server takes: the largest event
// that may be configured, its headers, and room for a dead letter of one that
// was too large.
const MaxPayloadBytes = 8 << 20

// Validate names the first field that cannot be served.
func (c Config) Validate() error {
	if c.StoreDir == "" {
		return errors.New("natsserver: StoreDir is empty, must be a folder")
	}
	if c.SyncInterval < 0 {
		return fmt.Errorf("natsserver: SyncInterval is %s, must be 0 or more", c.SyncInterval)
	}
	if err := errors.Join(c.Cluster.validate(), c.Users.validate()); err != nil {
		return err
	}
	if c.Listen == "" {
		return nil
	}
	if _, _, err := splitListen(c.Listen); err != nil {
		return fmt.Errorf("natsserver: Listen is %q, must be host:port: %w", c.Listen, err)
	}
	return nil
}

// splitListen returns the host and the port of a listen address.
func splitListen(listen string) (string, int, error) {
	host, digits, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, err
	}
	return host, int(port), nil
}

// Folder is where the server keeps its streams, inside of [Config.StoreDir].
const Folder = "jetstream"
