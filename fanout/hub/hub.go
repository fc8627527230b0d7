package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// errStopped is returned for a request to a hub that has stopped. A retry does
// not help.
var errStopped = errors.New("the hub has stopped")

// Config sets the pace of the hub. The zero value is not usable; see
// [DefaultConfig].
type Config struct {
	// CheckDelay is how long after a room was opened its head is compared with
	// the log for the first time: interest takes a while to spread through a
	// cluster.
	CheckDelay time.Duration
	// CheckInterval is how often that is repeated, and RetryInterval the shortest
	// pause after a request to the log that failed.
	CheckInterval, RetryInterval time.Duration
	// Linger is how long a room without subscriptions is kept, for its recent events:
	// clients may reconnect. A room without recent events is closed at once.
	Linger time.Duration
	// ReadTimeout bounds one read of the history. ProjectionTimeout bounds a read from
	// MongoDB of records that the log has too: after it, MongoDB counts as down.
	ReadTimeout, ProjectionTimeout time.Duration
	// LogInProcess says that the log runs in this process, and shares its processors.
	LogInProcess bool
	// ListingBytes bounds what all listings in flight (see [Hub.List]) have read of the
	// history and not shown yet. Less than 2 MiB counts as 2 MiB.
	ListingBytes int64
	// CacheBytes bounds the pages of history that are kept for a short time for further
	// readers; 0 keeps none. One job has at most a quarter of it.
	CacheBytes int64
}

// DefaultConfig returns the pace used in production.
func DefaultConfig() Config {
	return Config{
		CheckDelay: time.Second, CheckInterval: 15 * time.Second, RetryInterval: 100 * time.Millisecond,
		Linger: 30 * time.Second, ReadTimeout: 10 * time.Second,
		// MongoDB and the log both return a page within milliseconds, by an index. When
		// MongoDB takes a second, something is wrong, and the log has the same page.
		ProjectionTimeout: time.Second,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for name, value := range map[string]time.Duration{
		"CheckDelay": c.CheckDelay, "CheckInterval": c.CheckInterval, "RetryInterval": c.RetryInterval,
		"Linger": c.Linger, "ReadTimeout": c.ReadTimeout, "ProjectionTimeout": c.ProjectionTimeout,
	} {
		if value <= 0 {
			return fmt.Errorf("%s is %s: want more than 0", name, value)
		}
	}
	return nil
}

// Hub keeps a room for each job that has a subscription here, and brings every
// subscription to its job's head.
//
// The log's live tail calls [Hub.Live] and [Hub.Disrupted]. Every method may be called
// concurrently.
type Hub struct {
	log       Log
	tail      Tail
	catalogue *messaging.Catalogue
	encoder   Encoder
	history   *history
	cfg       Config
	logger    *slog.Logger
	metrics   *hubMetrics
	tracer    Tracer // nil without traces
	recent    *recentCatchUps
	memory    *lane // bounds what listings hold; see memoryShare

	// disrupted requests a check of every room. It holds the first cause since the last check.
	disrupted chan repairCause

	crew   *crew
	guard  *contain.Guard
	outage *outage.Book // of the log
	erased *erased
	// recorder is nil unless [Hub.RecordTo] was called.
	recorder Recorder
	// openings bounds the requests to the log that open rooms, by client: live events
	// share their connection, and wait behind them.
	openings *lane
	// repairs bounds the reads of repairs, which read repairLog.
	repairs   gate
	repairLog Log

	mu    sync.RWMutex // guards the fields below
	epoch string
	rooms map[string]*room
	// idle has those of rooms without subscriptions.
	idle map[*room]struct{}
	// leaving has, of each job, the last room that has closed while the tail may still
	// follow the job. queue has those of them that were open, and unfollowing says that a
	// goroutine works on it.
	leaving     map[string]*room
	queue       []*room
	unfollowing bool
}

// New returns a hub over the log and, unless it is nil, the projection. Subscriptions
// that begin before [Hub.Run] wait for it.
func New(log Log, tail Tail, projection Projection, catalogue *messaging.Catalogue, encoder Encoder, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	hub := &Hub{
		log: log, tail: tail, catalogue: catalogue, encoder: encoder, cfg: cfg, logger: logger,
		recent:    newRecentCatchUps(),
		memory:    newMemory(cfg.ListingBytes),
		openings:  newLane(maxOpenings),
		repairs:   make(gate, maxRepairs),
		disrupted: make(chan repairCause, 1),
		crew:      &crew{},
		erased:    newErased(),
		outage:    outage.NewBook(logger, slog.LevelWarn, "the log does not answer; catch-up and repair wait for it", "the log answers again"),
		rooms:     make(map[string]*room),
		idle:      make(map[*room]struct{}),
		leaving:   make(map[string]*room),
	}
	hub.metrics = newHubMetrics(registerer, hub)
	hub.guard = contain.New(hub.metrics.panics, logger)
	hub.crew.guard = hub.guard
	reads := hub.metrics.historyReads
	if projection != nil {
		projection = countedProjection{projection, reads.WithLabelValues(string(messaging.SourceMongoDB))}
	}
	work, pages := newGate(), log
	if cfg.LogInProcess {
		pages = gatedLog{log, work}
	}
	hub.repairLog = pages
	hub.history = &history{
		cache: newPageCache(cfg.CacheBytes, hub.erased, hub.metrics.cachedPages, hub.metrics.evictedPages),
		work:  work, log: countedLog{pages, reads.WithLabelValues(string(messaging.SourceLog))}, projection: projection, encode: hub.encode, logger: logger,
		patience:    cfg.ProjectionTimeout,
		flights:     newFlights(hub.crew, cfg.ReadTimeout, hub.metrics.sharedReads),
		mongoOutage: outage.NewBook(logger, slog.LevelWarn, "MongoDB does not answer; catch-up is served from the log", "MongoDB answers again"),
	}
	return hub, nil
}

// Run compares the rooms with the log, and repairs them, until ctx ends. It returns after
// every goroutine of the hub has ended. It may be called once.
func (h *Hub) Run(ctx context.Context) error {
	h.crew.begin(ctx)
	defer h.crew.end()
	h.crew.persist("epoch", h.loadEpoch)
	ticker := time.NewTicker(min(h.cfg.CheckDelay, h.cfg.Linger) / 2)
	defer ticker.Stop()
	var again <-chan time.Time // set when a check has to be repeated
	for {
		var turn func() error
		select {
		case <-ctx.Done():
			return nil
		case cause := <-h.disrupted:
			turn = func() error { return h.check(ctx, h.all(), cause) }
		case <-h.erased.signal:
			turn = func() error { return h.loadErasures(ctx, true) }
		case <-again:
			again = nil
			turn = func() error { return h.check(ctx, h.all(), causeReconnect) } // because the last check failed
		case <-ticker.C:
			turn = func() error {
				h.closeIdle()
				h.history.cache.expire(time.Now())
				return h.check(ctx, h.due(time.Now()), causeCheck)
			}
		}
		err := h.guard.Do("check", turn)
		if errors.Is(err, contain.ErrPanic) {
			again = time.After(h.cfg.CheckDelay)
			continue
		}
		if err != nil && ctx.Err() == nil {
			h.outage.Failed(err)
			again = time.After(h.cfg.CheckDelay)
		}
	}
}

// enter takes a reference to the job's room for a client, and opens a room if there is
// none. The requests that open it take turns with the other ones of the clients that wait.
func (h *Hub) enter(jobID, client string) (*room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	target, found := h.rooms[jobID]
	if found {
		h.openings.support(target.opening, client)
		delete(h.idle, target)
	} else {
		target = newRoom(jobID, client, h.erased)
		before := h.leaving[jobID]
		if !h.crew.persist("room", func(ctx context.Context) { h.open(ctx, target, before) }) {
			return nil, errStopped
		}
		h.rooms[jobID] = target
	}
	target.refs++
	return target, nil
}

// exit gives back a reference that [Hub.enter] took.
func (h *Hub) exit(target *room, client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.openings.withdraw(target.opening, client)
	target.refs--
	if target.refs == 0 {
		target.idleSince = time.Now()
		h.idle[target] = struct{}{}
	}
}

// closeIdle closes the rooms that have had no subscription for long enough.
func (h *Hub) closeIdle() {
	for _, room := range h.unused() {
		// Without the hub's lock, because a room's mutex may be held for a while.
		if room.quiet() || h.expired(room) {
			h.closeUnused(room)
		}
	}
}

// unused returns the rooms without subscriptions.
func (h *Hub) unused() []*room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Keys(h.idle))
}

// expired reports whether a room has had no subscription for longer than Linger.
func (h *Hub) expired(room *room) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return room.refs == 0 && time.Since(room.idleSince) > h.cfg.Linger
}

// closeUnused closes a room, unless it has a subscription again.
func (h *Hub) closeUnused(room *room) {
	h.mu.Lock()
	unused := room.refs == 0
	if unused {
		delete(h.rooms, room.jobID)
		delete(h.idle, room)
		h.leaving[room.jobID] = room // from here on a new room of the job waits for this one
	}
	h.mu.Unlock()
	if !unused {
		return
	}
	if opened := room.close(); !opened {
		return // the goroutine that opens the room will unfollow the job
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, room)
	if !h.unfollowing {
		h.unfollowing = h.crew.persist("unfollow", h.unfollowQueued)
	}
}

// unfollowQueued unfollows the jobs of the rooms in the queue. While the tail is not
// connected, one job may take seconds.
func (h *Hub) unfollowQueued(context.Context) {
	for room := h.nextQueued(); room != nil; room = h.nextQueued() {
		h.leave(room)
	}
}

// nextQueued takes a room from the queue. Without one it ends the work, and returns nil.
func (h *Hub) nextQueued() *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		h.queue, h.unfollowing = nil, false
		return nil
	}
	room := h.queue[0]
	h.queue[0] = nil
	h.queue = h.queue[1:]
	return room
}

// leave unfollows the job of a room that has closed. A newer room of the same job waits
// until then: otherwise the tail would unfollow the job for that room, too. A panic of the
// tail ends the call only, so that leave is run once for each room.
func (h *Hub) leave(room *room) {
	_ = h.guard.Do("unfollow", func() error { h.tail.Unfollow(room.jobID); return nil }) // the guard logs a panic
	h.mu.Lock()
	if h.leaving[room.jobID] == room {
		delete(h.leaving, room.jobID)
	}
	h.mu.Unlock()
	close(room.left)
}

// open follows the job of a room, and sets the room's head. If there was a room of the job
// before, open first waits until the tail has unfollowed the job for that room.
func (h *Hub) open(ctx context.Context, room, before *room) {
	if before != nil {
		select {
		case <-before.left:
		case <-ctx.Done():
			return
		}
	}
	ctx, release := room.life.within(ctx)
	defer release()
	behind := room.isOpened() // open is run again after a panic in the repair below
	if !behind {
		behind = h.follow(ctx, room)
	}
	switch {
	case behind:
		h.repair(ctx, room, causeOpening)
	case room.abandoned():
		h.leave(room)
	}
}

// maxOpenings bounds the concurrent requests that open rooms.
const maxOpenings = 8

// inTurn waits until it is the turn of a client that waits for the room, and runs one
// request that opens the room.
func (h *Hub) inTurn(ctx context.Context, room *room, request func() error) error {
	if err := h.openings.wait(ctx, room.opening); err != nil {
		return err
	}
	defer h.openings.leave(room.opening.payer, 1)
	return request()
}

// follow makes the tail follow the room's job and opens the room. It retries until ctx ends,
// which happens when the room closes. It reports whether the room has to be repaired.
func (h *Hub) follow(ctx context.Context, room *room) (behind bool) {
	for tries := 0; ctx.Err() == nil; {
		err := h.inTurn(ctx, room, func() error { return h.tail.Follow(ctx, room.jobID) })
		if !h.retry(ctx, err, &tries) {
			break
		}
	}
	for tries := 0; ctx.Err() == nil; {
		var extent messaging.Extent
		var head uint64
		before := h.Epoch()
		err := h.inTurn(ctx, room, func() (err error) {
			// Read the extent after the head: records that a purge removes between the two
			// requests then lie below extent.First, like all records that the room never read.
			if head, err = h.log.LastSequence(ctx, room.jobID); err == nil {
				extent, err = h.log.Extent(ctx)
			}
			return err
		})
		if h.retry(ctx, err, &tries) {
			continue
		}
		h.setEpoch(extent.Epoch)
		if extent.Epoch != before {
			continue // head may be of an earlier epoch
		}
		behind = room.open(extent, head, time.Now())
		h.openings.settle(room.opening)
		return behind
	}
	return false
}

// retry pauses after a failed request to the log, and reports whether to repeat the request,
// which the caller does unless ctx has ended. tries counts the failures in a row.
func (h *Hub) retry(ctx context.Context, err error, tries *int) bool {
	if err == nil {
		*tries = 0
		h.outage.Worked()
		return false
	}
	h.noteFailure(ctx, err)
	_ = wait.For(ctx, h.backoff(*tries))
	*tries++
	return true
}

// noteFailure handles the error of a request to the log. It is an outage, unless the
// request was cancelled (by ctx, or because its client has disconnected), or the answer
// came from a lagging replica or another epoch.
func (h *Hub) noteFailure(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, errBehind), errors.Is(err, context.Canceled):
	case errors.Is(err, errRenewed):
		h.Disrupted(messaging.DisruptionEpoch) // so that the rooms are checked, and restart
	default:
		h.outage.Failed(err)
	}
}

// backoff returns the pause after a number of failures: RetryInterval, doubled each time
// up to 16 times, and jittered, so that the retries of many clients do not coincide.
func (h *Hub) backoff(failures int) time.Duration {
	pause := h.cfg.RetryInterval << min(failures, 4)
	return pause + rand.N(pause)
}

// Guard contains panics in the caller's goroutines for the hub's clients, and counts them
// with those of the hub.
func (h *Hub) Guard() *contain.Guard { return h.guard }

// Live takes one record from the log's live tail, which calls it for the records of one
// job from one goroutine, in order.
func (h *Hub) Live(record messaging.Live) {
	h.mu.RLock()
	room := h.rooms[record.JobID]
	h.mu.RUnlock()
	if room == nil {
		return
	}
	ev := h.encode(record.Record)
	h.history.cache.extend(record, ev)
	switch room.receive(record, ev) {
	case verdictRepair:
		h.crew.persist("repair", func(ctx context.Context) { h.repair(ctx, room, causeDropped) })
	case verdictCheck:
		h.Disrupted(messaging.DisruptionEpoch)
	}
}

// Disrupted makes the hub check every room: the tail may have missed records of any job,
// for the given cause. It does not block.
func (h *Hub) Disrupted(cause messaging.Disruption) {
	select {
	case h.disrupted <- repairCause(cause):
	default:
	}
}

// encode returns the event of a record, or nil when no client is to be shown it: it was
// erased, its kind is unknown, or its encoding panicked.
func (h *Hub) encode(record messaging.Record) (encoded *Event) {
	defer h.guard.Recover("encoding", nil)
	if h.erased.covers(record) {
		return nil
	}
	ev, err := NewEvent(h.catalogue, h.encoder, record)
	if err != nil {
		h.Undeliverable(record, err)
		return nil
	}
	return ev
}

// Undeliverable counts a record that no client can be shown, such as one of a kind that the
// catalogue no longer has. There may be many of these, so the log line has level Debug.
func (h *Hub) Undeliverable(record messaging.Record, err error) {
	h.metrics.undeliverable.Inc()
	h.logger.Debug("a record cannot be delivered",
		append([]any{"job", record.JobID, "sequence", record.Sequence, "err", err}, messaging.TraceAttrs(record.TraceParent)...)...)
}
