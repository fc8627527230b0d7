package eventstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// knownIdle is how long the reading of ids waits before it asks whether the
	// log is still the same.
	knownIdle = 2 * time.Second
	// knownPull is how many headers one request asks for.
	knownPull = 2048
	// knownLook is after how many times knownIdle without a record the consumer is asked
	// whether any is due, once all is loaded; before, it is asked each time.
	knownLook = 15
)

// KnownIDs knows which records of the log carry which id, for the newest of
// them. The server's own memory of ids ends with the duplicate window; beyond it
// [Log.Append] asks here, so that a late repeat is not stored again.
//
// It is read from the log itself, headers only, so every gateway knows the same,
// whoever stored the record. It runs behind by a moment, for which the duplicate
// window answers.
type KnownIDs struct {
	log   *Log
	limit int
	seed  maphash.Seed
	// loaded is closed once all that the log held at the start is known.
	loaded chan struct{}
	once   sync.Once

	// mu guards the fields below.
	mu sync.Mutex
	// sequences has the newest sequence of each id of a job, by the hash of both. Two
	// ids may share one: the record at the sequence decides.
	sequences map[uint64]uint64
	// ring holds what is in sequences in the order of the log; at limit, the
	// entry at next is the oldest and gives way.
	ring []knownID
	next int
	// epoch and last are how far the log has been read.
	epoch string
	last  uint64
}

// knownID is one entry: 16 bytes here and about 35 in the map.
type knownID struct{ hash, sequence uint64 }

// KnowIDs makes appends ask for ids beyond the duplicate window, among the newest
// limit records. From now on they wait until [KnownIDs.Run], which the caller
// starts, has read these. It must be called before the first append, once.
func (l *Log) KnowIDs(limit int) *KnownIDs {
	l.known = &KnownIDs{
		log: l, limit: max(limit, 1), seed: maphash.MakeSeed(),
		loaded: make(chan struct{}), sequences: make(map[uint64]uint64),
	}
	return l.known
}

// Loaded reports whether the ids that the log had at the start have been read: appends
// wait until then.
func (k *KnownIDs) Loaded() bool {
	select {
	case <-k.loaded:
		return true
	default:
		return false
	}
}

// Run reads the ids of the log and follows it until ctx ends, whose error it
// returns. Whatever fails is tried again.
func (k *KnownIDs) Run(ctx context.Context) error {
	pause := jet.NewPause(100*time.Millisecond, 5*time.Second)
	unread := outage.NewBook(k.log.logger, slog.LevelWarn, "the ids of the log cannot be read; will try again", "the ids of the log are read again")
	for {
		err := k.follow(ctx, func() {
			unread.Worked()
			pause.Reset()
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			unread.Failed(err)
		}
		if pause.Wait(ctx) != nil {
			return ctx.Err()
		}
	}
}

// follow reads on until something fails, or the log begins a new epoch, which is
// no error.
func (k *KnownIDs) follow(ctx context.Context, working func()) error {
	state, err := k.log.State(ctx)
	if err != nil {
		return err
	}
	start := k.start(state)
	consumer, err := k.log.client.JS.OrderedConsumer(ctx, layout.EventStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
		HeadersOnly: true, InactiveThreshold: time.Minute,
		// Run tries again by itself. The client does so without end, and a stop would wait
		// for it while the stream is missing.
		MaxResetAttempts: 1,
	})
	if err != nil {
		return fmt.Errorf("read ids from sequence %d: %w", start, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(knownPull))
	if err != nil {
		return fmt.Errorf("read ids from sequence %d: %w", start, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	if max(start, state.First) > state.Last {
		k.finish()
	}
	for idle := 0; ; {
		msg, err := messages.Next(jetstream.NextMaxWait(knownIdle))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			idle++
			if err := k.quiet(ctx, consumer, idle); err != nil {
				return fmt.Errorf("read ids: %w", err)
			}
			working() // The server has said that there is nothing.
		case err != nil:
			return fmt.Errorf("read ids: %w", err)
		default:
			meta, err := msg.Metadata()
			if err != nil {
				return fmt.Errorf("read ids: %w", err)
			}
			idle = 0
			working()
			k.add(trackedID(msg.Subject(), msg.Headers()), meta.Sequence.Stream)
			if meta.NumPending == 0 || meta.Sequence.Stream >= state.Last {
				k.finish()
			}
		}
		if k.log.Epoch() != state.Epoch {
			return nil
		}
	}
}

// start returns the sequence to read from, and forgets what is of another epoch.
func (k *KnownIDs) start(state messaging.Extent) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch != state.Epoch {
		k.epoch, k.last = state.Epoch, 0
		k.ring, k.next = nil, 0
		clear(k.sequences)
	}
	start := k.last + 1
	if newest := uint64(k.limit); state.Last > newest {
		start = max(start, state.Last-newest+1)
	}
	return start
}

// quiet looks whether anything is left to read, where nothing came for idle times
// knownIdle: the newest records may have been purged, and then none of them ever comes.
// It returns errStalled when there is.
func (k *KnownIDs) quiet(ctx context.Context, consumer jetstream.Consumer, idle int) error {
	if k.Loaded() && idle%knownLook != 0 {
		return nil
	}
	over, err := settled(ctx, consumer, k.log.cfg.ReadTimeout, idle)
	if over {
		k.finish()
	}
	return err
}

// finish says that all that was there at the start is known.
func (k *KnownIDs) finish() {
	k.once.Do(func() {
		k.log.writing.mu.Lock()
		k.log.writing.waited = time.Now()
		k.log.writing.mu.Unlock()
		close(k.loaded)
	})
}

// add takes in the id of a record; an empty one only moves on.
func (k *KnownIDs) add(id string, sequence uint64) {
	hash := maphash.String(k.seed, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = max(k.last, sequence)
	if id == "" {
		return
	}
	entry := knownID{hash: hash, sequence: sequence}
	if len(k.ring) < k.limit {
		k.ring = append(k.ring, entry)
	} else {
		// The same id may stand further on with a newer sequence: that one stays.
		if oldest := k.ring[k.next]; k.sequences[oldest.hash] == oldest.sequence {
			delete(k.sequences, oldest.hash)
		}
		k.ring[k.next] = entry
		k.next = (k.next + 1) % k.limit
	}
	k.sequences[hash] = sequence
	k.log.metrics.knownIDs.Set(float64(len(k.sequences)))
}

// sequence returns where the log may have an id; 0 when it is not known.
func (k *KnownIDs) sequence(ctx context.Context, id string) (uint64, error) {
	select {
	case <-k.loaded:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait until the ids of the log are read: %w", ctx.Err())
	}
	hash := maphash.String(k.seed, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sequences[hash], nil
}

// trackedID returns the job and the id of a record if a producer chose the id.
// Ids that ingest derives from payloads are given out again after a while, and are
// not tracked: for those, and for replays, trackedID returns "".
func trackedID(subject string, header nats.Header) string {
	stored := header.Get(jetstream.MsgIDHeader)
	if !strings.HasPrefix(stored, layout.JobIDPrefix) && !strings.HasPrefix(stored, layout.ProducerIDPrefix) {
		return ""
	}
	return subject + " " + header.Get(layout.HeaderID) // Neither has a space.
}

// repeated looks for the record under the id of one that is to be appended. It
// reports false when there is none, or nobody asks beyond the duplicate window.
func (l *Log) repeated(ctx context.Context, record messaging.Record, msg *nats.Msg) (messaging.Receipt, bool, error) {
	id := trackedID(msg.Subject, msg.Header)
	if l.known == nil || id == "" {
		return messaging.Receipt{}, false, nil
	}
	sequence, err := l.known.sequence(ctx, id)
	if err != nil || sequence == 0 {
		return messaging.Receipt{}, false, err
	}
	stored, err := l.stored(ctx, sequence)
	switch {
	case errors.Is(err, jet.ErrNotFound):
		return messaging.Receipt{}, false, nil // Purged: it may come again.
	case err != nil:
		return messaging.Receipt{}, false, fmt.Errorf("compare with the record at sequence %d: %w", sequence, err)
	case trackedID(stored.Subject, stored.Header) != id:
		return messaging.Receipt{}, false, nil // Another id with that hash, or of an earlier epoch.
	case !messaging.SameEvent(stored.Body, msg.Data):
		return messaging.Receipt{}, false, fmt.Errorf("id at sequence %d: %w", sequence, ErrIDConflict)
	}
	if age := time.Since(stored.At); age > l.Settings().DuplicateWindow {
		l.metrics.lateRepeats.Inc()
		l.lateLog.Do(func() {
			l.logger.Info("an event was repeated after the duplicate window and not stored again",
				append([]any{"job", record.JobID, "sequence", sequence, "age", age.Round(time.Second)}, messaging.TraceAttrs(record.TraceParent)...)...)
		})
	}
	return messaging.Receipt{ID: record.ID, JobID: record.JobID, Sequence: sequence, Duplicate: true}, true, nil
}
