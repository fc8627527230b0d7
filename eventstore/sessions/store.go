package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/contain"
)

// sessionIDBytes is the length of a session's id: 128 bits in base64url.
const sessionIDBytes = 22

// Config holds the limits of the sessions. [DefaultConfig]
// returns one that serves.
type Config struct {
	// TTL is how long a state stays after it was last saved, and MaxBytes, below, the
	// size of the bucket. All gateways on one bucket share both: these count for a bucket
	// that is yet to be made, and [Store.TTL] says what holds.
	TTL time.Duration
	// Replicas is the number of servers that hold each state: 1, 3 or 5.
	Replicas int
	// MaxBytes bounds the bucket on disk. Beyond it the states go that were saved
	// longest ago.
	MaxBytes int64
	// MaxStateBytes is the largest state that will be saved.
	MaxStateBytes int
	// MaxWaitingBytes bounds what waits to be stored. Each session that waits
	// counts with its newest state and 256 bytes more. [Store.Save] says what
	// happens at the bound.
	MaxWaitingBytes int
	// FlushTimeout bounds how long [Store.Run] stores what waits after its
	// context has ended.
	FlushTimeout time.Duration
}

// DefaultConfig returns the limits of a single embedded server.
func DefaultConfig() Config {
	return Config{
		TTL:             2 * time.Minute,
		Replicas:        1,
		MaxBytes:        255 << 20, // With dead letters and the log's identity 512 MiB.
		MaxStateBytes:   64 << 10,
		MaxWaitingBytes: 64 << 20,
		FlushTimeout:    2 * time.Second,
	}
}

// Validate names the first field that cannot be served, with an [eventstore.FieldError].
func (c Config) Validate() error {
	wrong := func(field string, value any, want string) error {
		return &eventstore.FieldError{Config: "eventstore: sessions", Field: field, Value: value, Want: want}
	}
	switch {
	case c.TTL < time.Second:
		return wrong("TTL", c.TTL, "at least 1s")
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return wrong("Replicas", c.Replicas, "1, 3 or 5")
	case c.MaxBytes < 1<<20:
		return wrong("MaxBytes", c.MaxBytes, "at least 1 MiB")
	case c.MaxStateBytes < 1:
		return wrong("MaxStateBytes", c.MaxStateBytes, "at least 1")
	case c.MaxWaitingBytes < c.MaxStateBytes+waitingOverheadBytes:
		return wrong("MaxWaitingBytes", c.MaxWaitingBytes, fmt.Sprintf("at least %d, to hold one state of MaxStateBytes", c.MaxStateBytes+waitingOverheadBytes))
	case c.FlushTimeout <= 0:
		return wrong("FlushTimeout", c.FlushTimeout, "more than 0")
	}
	return nil
}

// Store holds the newest state of each client session, a few hundred bytes
// that mean nothing here, so that a session can go on after its connection or
// its gateway broke, and on another gateway. Its methods may be called
// concurrently.
//
// The states are the values of the key-value bucket NOVEL_SESSIONS, whose keys
// are the ids of the sessions. Those are what a client proves itself with: they
// appear in no log line and in no error.
//
// # What holds
//
// Writing is behind: [Store.Save] returns before anything is stored, and a
// gateway that is killed takes along what waits, usually that of a few
// milliseconds. With one replica the server, too, acknowledges before it writes,
// and writes some 15 ms later at most. When it is killed, a session that was
// saved within these last moments can be left with an earlier state, not always
// the one before, or with none. Every other session survives kill -9 as it was
// saved last. A power loss takes what was saved since the server last synced its
// files: see its sync interval, which holds for this bucket even where every
// event is synced. With more replicas the states are as durable as the events.
//
// So whoever loads a state must bear that it is not the last one, and should
// keep in it something, such as a count of what was sent, by which that shows.
//
// An attempt that timed out is made again. Should the first one arrive after all,
// and late, because a server stood still and the connection moved to another, it
// can replace a newer state until the session is saved next, or expires.
type Store struct {
	log     *eventstore.Log
	cfg     Config
	logger  *slog.Logger
	metrics *sessionMetrics
	guard   *contain.Guard

	waiting *waiting
	stored  stored
	// bucket is the configuration of the bucket as it was last made or found.
	bucket atomic.Pointer[jetstream.StreamConfig]
	// wake has a value when there may be something to write.
	wake chan struct{}
	// shedding says that the bound was met since last nothing waited.
	shedding atomic.Bool
}

// Open returns the sessions kept beside a log, making their bucket where there is
// none. One that is there keeps its size and its time to live. It waits for JetStream up to
// [eventstore.Config].OpenTimeout. Nothing is written until [Store.Run] runs. A nil
// logger discards.
//
// A bucket made for one replica cannot be given more: it is re-created then, and
// forgets its sessions.
func Open(ctx context.Context, log *eventstore.Log, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if limit := log.Client().Conn.MaxPayload(); int64(cfg.MaxStateBytes) > limit {
		return nil, fmt.Errorf("eventstore: sessions: MaxStateBytes is %d, must be at most the %d bytes that the NATS server takes", cfg.MaxStateBytes, limit)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		log:     log,
		cfg:     cfg,
		logger:  logger,
		guard:   log.Contain(),
		waiting: newWaiting(cfg.MaxWaitingBytes),
		wake:    make(chan struct{}, 1),
	}
	var err error
	if s.metrics, err = newSessionMetrics(registerer, s.waiting.count); err != nil {
		return nil, fmt.Errorf("open sessions: register metrics: %w", err)
	}
	ensure := func(ctx context.Context) error {
		bucket, err := ensureBucket(ctx, log.Client().JS, cfg, logger)
		if err == nil {
			s.bucket.Store(bucket)
		}
		return err
	}
	if err = log.EnsureStream(ctx, layout.SessionStream, ensure); err != nil {
		return nil, fmt.Errorf("open sessions: %w", err)
	}
	return s, nil
}

// TTL returns how long a state stays after it was last saved, as the bucket had it when
// the process last looked; 0 means without an end.
func (s *Store) TTL() time.Duration { return s.bucket.Load().MaxAge }

// Save has the state stored as the session's newest, in place of one that still
// waits. It never blocks, and keeps state, which must not be changed any more.
//
// When more waits than the bound allows, the states that have waited longest are
// dropped, and counted. So is one that is too large. To drop a state is to
// remove the session's earlier one as well: a session is not recovered from a
// state long past. A state under an id that is none is dropped and counted.
func (s *Store) Save(id string, state []byte) {
	switch {
	case !validSessionID(id):
		s.metrics.dropped.WithLabelValues(string(dropInvalidID)).Inc()
	case len(state) > s.cfg.MaxStateBytes:
		s.metrics.dropped.WithLabelValues(string(dropTooLarge)).Inc()
		s.put(id, nil, true)
	default:
		s.put(id, state, false)
	}
}

// Forget has the session's state removed. It never blocks. Among what waits it
// counts as a state without bytes: at the bound it can be dropped, and the state
// then stays until it expires.
func (s *Store) Forget(id string) {
	if validSessionID(id) {
		s.put(id, nil, true)
	}
}

// signal wakes a writer, unless one is about to wake.
func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Store) put(id string, state []byte, removed bool) {
	dropped := s.waiting.put(id, state, removed)
	s.signal()
	if dropped == 0 {
		return
	}
	s.metrics.dropped.WithLabelValues(string(dropBound)).Add(float64(dropped))
	if !s.shedding.Swap(true) {
		s.logger.Warn("too many sessions wait to be stored: those that waited longest cannot be recovered", "maxWaitingBytes", s.cfg.MaxWaitingBytes)
	}
}

// Load returns the session's newest state, which is then the caller's: what this
// process saved last, even while that waits, or else what the leader of the
// bucket has, from whichever gateway. It makes one attempt, within
// [eventstore.Config].ReadTimeout, and returns when ctx has ended.
//
// There is none, and found is false, for a session that was forgotten, that has
// expired, or whose id is none: ids may come from a client as they are. It
// returns [eventstore.ErrUnavailable] when the bucket cannot be asked.
func (s *Store) Load(ctx context.Context, id string) (state []byte, found bool, err error) {
	if !validSessionID(id) {
		return nil, false, nil
	}
	if state, removed, waits := s.waiting.newest(id); waits {
		return bytes.Clone(state), !removed, nil
	}
	stored, err := jet.Within(ctx, func() (jet.Message, error) {
		return s.log.Client().Leader(ctx, layout.SessionStream, jet.Request{Last: layout.SessionPrefix + id})
	})
	switch {
	case errors.Is(err, jet.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("load the state of a session: %w", err)
	case stored.Header.Get(headerOperation) != "", stored.Header.Get(jetstream.MarkerReasonHeader) != "":
		return nil, false, nil // A mark that it was removed, or has expired.
	}
	return stored.Body, true, nil
}

// validSessionID reports whether an id is one that gateways make. Anything else
// might be more than one token of a subject.
func validSessionID(id string) bool {
	if len(id) != sessionIDBytes {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
