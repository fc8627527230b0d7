package natsserver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrStopped is what [Server.Healthy] returns while the server cannot write. It
// mends itself once the disk can be written again.
var ErrStopped = errors.New("embedded nats-server has stopped writing")

// The pace of mending.
const (
	mendInterval  = time.Second
	firstMendWait = 2 * time.Second
	lastMendWait  = time.Minute
	// mendRoomBytes is what must fit on the disk before the server is started
	// again: less would be full again with the first few events.
	mendRoomBytes = 4 << 20
)

// Healthy returns [ErrStopped] while the server refuses writes for good, as it
// does after the disk was full.
func (s *Server) Healthy() error {
	if reason := stopped(s.instance()); reason != "" {
		return fmt.Errorf("%w: %s", ErrStopped, reason)
	}
	return nil
}

// mend restarts the server when it has stopped writing and the disk has room
// again. nats-server takes a failed write for the end: the stream answers no
// publish any more, until it is recovered from its files by a start. What was
// acknowledged is in those files.
func (s *Server) mend() {
	defer close(s.mended)
	ticker := time.NewTicker(mendInterval)
	defer ticker.Stop()
	wait, next := firstMendWait, time.Time{}
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		instance := s.instance()
		reason := stopped(instance)
		if reason == "" {
			if time.Since(next) > lastMendWait {
				wait = firstMendWait // It has held for a while.
			}
			continue
		}
		if time.Now().Before(next) || probeWritable(s.cfg.StoreDir, mendRoomBytes) != nil {
			continue
		}
		next = time.Now().Add(wait)
		wait = min(2*wait, lastMendWait)
		s.cfg.Logger.Warn("embedded nats-server is restarted", "reason", reason)
		end(instance)
		fresh, err := run(s.cfg)
		if err != nil {
			s.cfg.Logger.Error("embedded nats-server did not restart", "error", err)
			continue
		}
		s.mu.Lock()
		s.nats = fresh
		s.mu.Unlock()
	}
}

// stopped returns why an instance does not write any more, or nothing.
func stopped(instance *server.Server) string {
	if !instance.Running() {
		return "it is not running"
	}
	if !instance.JetStreamEnabled() {
		return "JetStream is off"
	}
	if health := instance.Healthz(nil); strings.Contains(health.Error, "write error") {
		return health.Error
	}
	return ""
}
