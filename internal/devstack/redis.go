package devstack

import (
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// RedisConfig is the configuration of a [Redis].
type RedisConfig struct {
	// Addr is a TCP address; port 0 takes a free one.
	Addr string
}

// Validate returns an error that names the first invalid field.
func (c RedisConfig) Validate() error {
	if c.Addr == "" {
		return errors.New("devstack: RedisConfig.Addr is empty")
	}
	return nil
}

// Redis is a Redis-protocol server that keeps everything in memory. It is safe
// for concurrent use. Keys do not expire by themselves.
type Redis struct {
	server *miniredis.Miniredis
	addr   string
}

// StartRedis starts a server that runs until [Redis.Close]. An address that is
// taken gives an error that matches [syscall.EADDRINUSE]: another port may be
// free.
func StartRedis(cfg RedisConfig) (*Redis, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(cfg.Addr); err != nil {
		return nil, fmt.Errorf("start the Redis-protocol server on %q: %w", cfg.Addr, err)
	}
	return &Redis{server: server, addr: server.Addr()}, nil
}

// Addr returns the address it listens on.
func (r *Redis) Addr() string { return r.addr }

// Close stops the server, closes its connections and returns when both are done.
// Closing again is harmless.
func (r *Redis) Close() { r.server.Close() }
