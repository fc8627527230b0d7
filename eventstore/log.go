package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// lateLogInterval is how often late repeats are logged.
	lateLogInterval = 10 * time.Second
	// identityLogInterval is how often trouble with the record of the epoch is logged.
	identityLogInterval = time.Minute
)

// Log is the durable log. Its methods may be called concurrently; [Log.Append]
// says what its callers owe it for the order of one job.
type Log struct {
	client  *jet.Client
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	guard   *contain.Guard

	epoch atomic.Pointer[string]
	// created is when the event stream was created, in nanoseconds since 1970.
	created atomic.Int64
	// settings are those that the event stream has.
	settings atomic.Pointer[Settings]
	// flaws are what is wrong with the settings of the event stream.
	flaws    atomic.Pointer[[]Flaw]
	besideMu sync.Mutex // guards beside
	// beside is what is wrong with the other streams, of those that have any flaw.
	beside map[string]edited
	// readOnly says that the log was attached to: nothing is repaired.
	readOnly bool
	lineage  lineage
	keepers  []*kept    // belongs to [Log.Vouch] and [Log.Guard]
	ownedMu  sync.Mutex // guards owned
	owned    []owned
	// missingSince is when the event stream was first found missing, zero while it is
	// there; it belongs to [Log.Guard].
	missingSince time.Time
	// restoring says that the event stream is missing, and that a restore has begun and
	// not ended, as one that was killed.
	restoring   atomic.Bool
	identityLog rate.Sometimes
	damageLog   rate.Sometimes

	writing writing
	// disconnection is why the connection does not stand; nil when no reason was found.
	disconnection atomic.Pointer[disconnection]
	forbidden     forbidden
	// maxBatch is the size of the largest batch, 0 without batches; unsettled says that
	// the outcome of an attempt to append was unknown.
	maxBatch  atomic.Int64
	unsettled atomic.Bool
	// singles logs once that there are no batches.
	singles sync.Once

	letterRoom    letterRoom
	letterBatches letterBatches

	turnsMu sync.Mutex // guards turns
	// turns are the functions of [Log.InTurn] that wait, one at most for each consumer.
	turns map[string]func(ctx context.Context)

	known   *KnownIDs // nil when ids are not looked up beyond the duplicate window
	lateLog rate.Sometimes
}

// Open returns the log on a connection, making its streams or bringing their
// limits up to date. It waits for JetStream up to [Config].OpenTimeout, because
// a cluster that starts has no leader yet. The connection stays the caller's,
// and must have been made with [ConnOptions]. A nil logger discards.
func Open(ctx context.Context, conn *nats.Conn, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if limit := conn.MaxPayload(); int64(cfg.MaxEventBytes)+layout.HeaderReserveBytes > limit {
		return nil, fmt.Errorf("eventstore: MaxEventBytes is %d, must be at most %d: the NATS server takes messages of %d bytes, headers included",
			cfg.MaxEventBytes, limit-layout.HeaderReserveBytes, limit)
	}
	if version := conn.ConnectedServerVersion(); tooOld(version) {
		return nil, fmt.Errorf("open log: %w, this is %s", errOldServer, version)
	}
	client, err := newClient(conn, cfg)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	measured, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("open log: register metrics: %w", err)
	}
	log := newLog(client, cfg, logger, measured)
	log.keepers = []*kept{log.newKept(streamKeeper{log})}
	log.own(layout.EventStream, log.ensure)
	log.own(layout.DeadLetterStream, log.ensureLetters)
	log.own(layout.IdentityStream, log.ensureIdentity)
	if err := log.whenAvailable(ctx, log.ensure); err != nil {
		return nil, fmt.Errorf("open log: %w", log.explain(err))
	}
	return log, nil
}

// ReadOn has stored records read on a connection of their own: large answers to many
// readers share the other one with the live records and appends, which then wait
// behind them. It is called before the log is used by others, and the connection stays the
// caller's.
func (l *Log) ReadOn(conn *nats.Conn) { l.client.Reads = conn }

// Client returns the requests that the packages below this one share with the log.
func (l *Log) Client() *jet.Client { return l.client }

// EnsureStream calls ensure until JetStream is available, up to [Config].OpenTimeout, and
// makes [Log.Guard] call it again whenever the named stream is missing. It is for the
// streams that other packages keep beside the log.
func (l *Log) EnsureStream(ctx context.Context, name string, ensure func(context.Context) error) error {
	l.own(name, ensure)
	return l.explain(l.whenAvailable(ctx, ensure))
}

// Contain returns what contains and counts the panics of the log's goroutines. The packages
// below this one use it for theirs.
func (l *Log) Contain() *contain.Guard { return l.guard }

// Config returns the limits that the log was opened with.
func (l *Log) Config() Config { return l.cfg }

// newClient returns a client with the domain and the time limits of the log.
func newClient(conn *nats.Conn, cfg Config) (*jet.Client, error) {
	client, err := jet.New(conn, cfg.Domain)
	if err != nil {
		return nil, err
	}
	client.ReadTimeout, client.AckTimeout, client.OpenTimeout = cfg.ReadTimeout, cfg.AckTimeout, cfg.OpenTimeout
	return client, nil
}

// newLog returns a log that has sent no request yet.
func newLog(client *jet.Client, cfg Config, logger *slog.Logger, measured *metrics) *Log {
	log := &Log{
		client: client,
		cfg:    cfg, logger: logger, metrics: measured, guard: contain.New(measured.panics, logger),
		lateLog: rate.Sometimes{Interval: lateLogInterval}, identityLog: rate.Sometimes{Interval: identityLogInterval},
		damageLog: rate.Sometimes{Interval: identityLogInterval},
	}
	log.beside = make(map[string]edited)
	none := ""
	log.epoch.Store(&none)
	return log
}

// whenAvailable calls ensure until JetStream answers, for up to
// [Config].OpenTimeout. Each call has ReadTimeout: a cluster without a leader
// does not answer at all.
func (l *Log) whenAvailable(ctx context.Context, ensure func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.OpenTimeout)
	defer cancel()
	pause := jet.NewPause(100*time.Millisecond, time.Second)
	for {
		attempt, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
		err := ensure(attempt)
		cancel()
		if err == nil || !jet.Passing(err) || pause.Wait(ctx) != nil {
			return err
		}
	}
}

// tooOld reports whether a server has no batches of direct gets; false where the
// version cannot be read.
func tooOld(version string) bool { return before(version, 11) }

// before reports whether a server's version is less than 2.minor; false where the
// version cannot be read.
func before(version string, minor int) bool {
	var major, has int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &has); err != nil {
		return false
	}
	return major < 2 || major == 2 && has < minor
}

// ensure creates the streams, or adopts existing ones, and reads the epoch.
func (l *Log) ensure(ctx context.Context) error {
	info, err := ensureEvents(ctx, l.client.JS, l.cfg, l.serverHasBatches())
	if err != nil {
		return err
	}
	if _, err := l.learn(ctx, info); err != nil {
		return err
	}
	if err := l.ensureLetters(ctx); err != nil {
		return err
	}
	return l.restoreBeside(ctx)
}

// learn takes in a description of the event stream: its settings, its epoch and how
// far it goes.
func (l *Log) learn(ctx context.Context, info *jetstream.StreamInfo) (messaging.Extent, error) {
	l.settings.Store(settingsOf(info))
	l.metrics.size(info)
	l.noteBatches(info.Config)
	l.noteFlaws(info.Config)
	epoch, err := l.identify(ctx, info)
	if err != nil {
		return messaging.Extent{}, err
	}
	l.created.Store(info.Created.UnixNano())
	if epoch != l.Epoch() {
		epoch = l.adopt(epoch)
	}
	state := messaging.Extent{Epoch: epoch, First: info.State.FirstSeq, Last: info.State.LastSeq}
	if info.State.Msgs == 0 {
		state.First = state.Last + 1
	}
	return state, nil
}

// Epoch returns the epoch as of the last [Log.State], which the package also
// asks for after every reconnect and every append that had to be retried.
func (l *Log) Epoch() string { return *l.epoch.Load() }

// State asks the leader of the stream what it holds, and refreshes [Log.Epoch].
func (l *Log) State(ctx context.Context) (messaging.Extent, error) {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
	defer cancel()
	// Seen before the question: the answer of the leader cannot be older.
	seen, anchor := l.lineage.known(l.Epoch())
	stream, err := l.client.JS.Stream(bounded, layout.EventStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && l.restoring.Load() {
		err = ErrRestoring
	}
	if err != nil {
		return messaging.Extent{}, fmt.Errorf("ask for the state of stream %s: %w", layout.EventStream, jet.Unavailable(err))
	}
	info := stream.CachedInfo()
	if err := streams.BeingRestored(info); err != nil {
		return messaging.Extent{}, jet.Unavailable(err)
	}
	state, err := l.learn(bounded, info)
	if err != nil {
		return messaging.Extent{}, fmt.Errorf("ask for the state of stream %s: %w", layout.EventStream, err)
	}
	doubt := l.lineage.doubt.Swap(false)
	for _, mark := range []Mark{seen, anchor} {
		if err == nil && mark.Epoch == state.Epoch && (doubt || suspicious(info.State, mark)) {
			state.Epoch, err = l.judge(ctx, info, state.Epoch, mark, "this process")
		}
	}
	if err != nil {
		l.lineage.doubt.Store(true)
		return messaging.Extent{}, fmt.Errorf("ask for the state of stream %s: %w", layout.EventStream, err)
	}
	newest := Mark{Epoch: state.Epoch, Sequence: info.State.LastSeq}
	if info.State.Msgs > 0 {
		newest.At = info.State.LastTime
	}
	l.noteMark(newest)
	return state, nil
}

// Head returns the last sequence of the whole log, 0 when it has none.
func (l *Log) Head(ctx context.Context) (uint64, error) {
	state, err := l.State(ctx)
	return state.Last, err
}

// refreshEpoch asks for the state when the stream may have changed. It ignores an error:
// the next call retries.
func (l *Log) refreshEpoch(ctx context.Context) {
	if _, err := l.State(ctx); err != nil {
		l.logger.Debug("epoch was not refreshed", "error", err)
	}
}
