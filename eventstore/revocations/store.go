package revocations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/outage"
)

// Kind says what is revoked.
type Kind string

// The kinds.
const (
	// KindToken is one token, by its jti.
	KindToken Kind = "token"
	// KindKey is every token of a signing key, by its kid.
	KindKey Kind = "key"
	// KindSubject is every token of a subject that was issued up to the revocation.
	KindSubject Kind = "subject"
)

// Revocation is one of them.
type Revocation struct {
	Kind  Kind   `json:"kind"`
	Value string `json:"value"`
	// At is when it was made, by the clock of the gateway that was asked.
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	// Lifted says that it no longer counts.
	Lifted bool `json:"lifted,omitempty"`
}

// The bounds of a revocation.
const (
	maxValueBytes  = 1024
	maxReasonBytes = 512
)

// ErrInvalid is returned for a revocation that names nothing, or too much.
var ErrInvalid = errors.New("invalid revocation")

// Validate returns why a revocation cannot be stored; the error matches [ErrInvalid].
func (r Revocation) Validate() error {
	switch {
	case !slices.Contains([]Kind{KindToken, KindKey, KindSubject}, r.Kind):
		return fmt.Errorf("%w: kind %q: want token, key or subject", ErrInvalid, r.Kind)
	case r.Value == "" || len(r.Value) > maxValueBytes:
		return fmt.Errorf("%w: the value has %d bytes: want 1 to %d", ErrInvalid, len(r.Value), maxValueBytes)
	case len(r.Reason) > maxReasonBytes:
		return fmt.Errorf("%w: the reason has %d bytes: want %d at most", ErrInvalid, len(r.Reason), maxReasonBytes)
	}
	return nil
}

// Place is where a revocation stands in [Store.List]: its kind, a space, and its value.
func (r Revocation) Place() string { return string(r.Kind) + " " + r.Value }

// key is the subject's last tokens: a value of a token may be any text.
func (r Revocation) key() string {
	sum := sha256.Sum256([]byte(r.Value))
	return string(r.Kind) + "." + hex.EncodeToString(sum[:])
}

const (
	stream = layout.RevocationStream
	prefix = layout.RevocationPrefix
	// pollInterval is how often a gateway asks for what it may have missed.
	pollInterval = 2 * time.Second
	readPage     = 256
	// notices is how many republished revocations may wait; those beyond are read by the
	// next poll.
	notices = 1024
)

// Store is what is revoked. Its methods may be called concurrently.
type Store struct {
	log    *eventstore.Log
	client *jet.Client
	kept   time.Duration
	logger *slog.Logger

	// created is when the stream was created that was last read. It belongs to [Open], and to
	// [Store.Run] after that.
	created time.Time

	mu sync.RWMutex // guards the two below
	// known has the newest revocation of each key, lifted ones left out.
	known map[string]Revocation
	// last is the newest sequence that was read.
	last uint64
}

// Open reads what is revoked. A revocation counts for kept, which is to be longer than any
// token lives; the stream keeps the time that it was created with.
func Open(ctx context.Context, log *eventstore.Log, kept time.Duration, logger *slog.Logger, registerer prometheus.Registerer) (*Store, error) {
	s := &Store{log: log, client: log.Client(), kept: kept, logger: logger, known: make(map[string]Revocation)}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "realtime_eventstore_revocations", Help: "Tokens, keys and subjects that are revoked.",
	}, func() float64 {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return float64(len(s.known))
	})
	if err := registerer.Register(gauge); err != nil {
		return nil, fmt.Errorf("eventstore: %w", err)
	}
	if err := log.EnsureStream(ctx, stream, s.ensure); err != nil {
		return nil, fmt.Errorf("open the revocations: %w", err)
	}
	if _, err := s.read(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// ensure creates the stream with as many replicas as the log has, or restores the settings
// of an existing one. That keeps its size and its age.
func (s *Store) ensure(ctx context.Context) error {
	replicas := s.log.Settings().Replicas
	_, err := streams.Ensure(ctx, s.client.JS, stream, func(c *jetstream.StreamConfig, created time.Time) {
		c.Name, c.Description = stream, "Tokens, keys and subjects that are revoked."
		streams.Beside[stream].Apply(c)
		if created.IsZero() {
			c.MaxBytes, c.MaxAge = layout.RevocationMaxBytes, s.kept
		}
		c.Replicas = max(c.Replicas, replicas, 1) // An operator may have asked for more.
	})
	return err
}

// Run follows what is revoked until ctx ends, and calls changed after each change, on its
// own goroutine. It returns nil.
func (s *Store) Run(ctx context.Context, changed func()) error {
	told := make(chan *nats.Msg, notices)
	sub, err := s.client.Conn.ChanSubscribe(layout.RevokedPrefix+">", told)
	if err != nil {
		return fmt.Errorf("follow the revocations: %w", jet.Unavailable(err))
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only without a connection, and then it is gone
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	changed() // clients may have come before what is known
	unread := outage.NewBook(s.logger, slog.LevelWarn, "revocations cannot be read and are asked for again", "revocations are read again")
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-told:
			sequence, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err == nil && s.follow(sequence, msg.Data) {
				changed()
			}
		case <-tick.C:
			news, err := s.read(ctx)
			if news {
				changed()
			}
			if ctx.Err() == nil {
				unread.Note(err)
			}
		}
	}
}

// follow takes a revocation that was republished, unless a read has passed it: a newer one
// may be known then.
func (s *Store) follow(sequence uint64, data []byte) bool {
	s.mu.RLock()
	passed := sequence <= s.last
	s.mu.RUnlock()
	return !passed && s.take(data)
}

// take notes one revocation, and reports whether that changed anything. Those of one key
// come in the order of the stream.
func (s *Store) take(data []byte) bool {
	var r Revocation
	if json.Unmarshal(data, &r) != nil || r.Validate() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.known[r.key()]
	if r.Lifted {
		delete(s.known, r.key())
		return found
	}
	s.known[r.key()] = r
	return !found || old.At != r.At
}

// read takes what the stream has after the last sequence that was read. A stream that was
// created again or emptied is read from its beginning, and is given what it lacks.
func (s *Store) read(ctx context.Context) (news bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.client.OpenTimeout)
	defer cancel()
	// Ask for the stream first: one that is created again after this is seen by the next read.
	info, err := s.client.JS.Stream(ctx, stream)
	if err != nil {
		return false, fmt.Errorf("look up stream %s: %w", stream, jet.Unavailable(err))
	}
	created := info.CachedInfo().Created
	newest := uint64(0)
	switch found, err := s.client.Leader(ctx, stream, jet.Request{Last: prefix + ">"}); {
	case errors.Is(err, jet.ErrNotFound):
	case err != nil:
		return false, fmt.Errorf("ask for the newest revocation: %w", err)
	default:
		newest = found.Sequence
	}
	s.mu.RLock()
	after := s.last
	s.mu.RUnlock()
	// By the sequences alone, a stream that was created again and filled is not recognized.
	another := newest < after || !s.created.IsZero() && !created.Equal(s.created)
	var lacks map[string]Revocation
	if another {
		after = 0
		s.mu.Lock()
		s.last, lacks = 0, maps.Clone(s.known)
		s.mu.Unlock()
	}
	for after < newest {
		last := after
		request := jet.Request{Sequence: after + 1, Next: prefix + ">", Batch: readPage, MaxBytes: jet.BatchBytes}
		err := s.client.Batch(ctx, stream, request, func(found jet.Message) {
			last = found.Sequence
			news = s.take(found.Body) || news
			delete(lacks, strings.TrimPrefix(found.Subject, prefix))
		})
		if err != nil {
			return news, fmt.Errorf("read the revocations after %d: %w", after, err)
		}
		if last == after {
			return news, fmt.Errorf("read the revocations after %d: %w: a replica is behind %d", after, jet.ErrIncomplete, newest)
		}
		after = last
	}
	for _, r := range lacks {
		if err := s.repeat(ctx, r); err != nil {
			return news, err
		}
	}
	s.created = created
	s.mu.Lock()
	s.last = after
	s.mu.Unlock()
	s.expire(time.Now())
	return news, nil
}

// repeat stores a revocation again in a stream that lacks it. One that somebody has stored or
// lifted meanwhile stays.
func (s *Store) repeat(ctx context.Context, r Revocation) error {
	err := s.put(ctx, r, jetstream.WithExpectLastSequencePerSubject(0))
	if jet.HasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jet.CodeWrongLastSequence) {
		return nil
	}
	return err
}

// expire forgets what has been kept for long enough.
func (s *Store) expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.known, func(_ string, r Revocation) bool { return now.Sub(r.At) > s.kept })
}

// Add stores a revocation, or its end if Lifted is set, for every gateway.
func (s *Store) Add(ctx context.Context, r Revocation) error {
	if err := r.Validate(); err != nil {
		return err
	}
	return s.put(ctx, r)
}

func (s *Store) put(ctx context.Context, r Revocation, options ...jetstream.PublishOpt) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.client.AckTimeout)
	defer cancel()
	if _, err := s.client.JS.PublishMsg(ctx, &nats.Msg{Subject: prefix + r.key(), Data: data}, options...); err != nil {
		return fmt.Errorf("store the revocation: %w", jet.Unavailable(err))
	}
	return nil
}

// List returns what is revoked, by kind and value.
func (s *Store) List() []Revocation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.known), func(a, b Revocation) int {
		return strings.Compare(a.Place(), b.Place())
	})
}

// Revoked reports whether a token counts no more: by its id, by its key, or by its subject
// when it was issued up to the second of the revocation, or does not say when.
func (s *Store) Revoked(tokenID, keyID, subject string, issuedAt time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.known) == 0 {
		return false
	}
	has := func(kind Kind, value string) (Revocation, bool) {
		r, found := s.known[Revocation{Kind: kind, Value: value}.key()]
		return r, found && value != ""
	}
	if _, found := has(KindToken, tokenID); found {
		return true
	}
	if _, found := has(KindKey, keyID); found {
		return true
	}
	r, found := has(KindSubject, subject)
	return found && (issuedAt.IsZero() || issuedAt.Unix() <= r.At.Unix())
}
