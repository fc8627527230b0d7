package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrStopped is returned for a subscription to a hub that is not running.
var ErrStopped = errors.New("the hub is not running")

// Config sets the pace of the hub. The zero value is not usable; see
// [DefaultConfig].
type Config struct {
	// CheckDelay is how long after a room was opened its head is compared with
	// the log for the first time: interest takes a while to spread through a
	// cluster.
	CheckDelay time.Duration
	// CheckInterval is how often that is repeated, and RetryInterval how long a
	// read of the log that failed waits before the next try.
	CheckInterval, RetryInterval time.Duration
	// Linger is how long a room without subscriptions is kept, so that clients
	// that come back find its recent events.
	Linger time.Duration
	// ReadTimeout bounds one read of the history.
	ReadTimeout time.Duration
}

// DefaultConfig returns the pace used in production.
func DefaultConfig() Config {
	return Config{
		CheckDelay: time.Second, CheckInterval: 15 * time.Second, RetryInterval: 100 * time.Millisecond,
		Linger: 30 * time.Second, ReadTimeout: 10 * time.Second,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for name, value := range map[string]time.Duration{
		"CheckDelay": c.CheckDelay, "CheckInterval": c.CheckInterval, "RetryInterval": c.RetryInterval,
		"Linger": c.Linger, "ReadTimeout": c.ReadTimeout,
	} {
		if value <= 0 {
			return fmt.Errorf("%s is %s: want more than 0", name, value)
		}
	}
	return nil
}

// Hub keeps a room for each job that somebody here is interested in, and brings
// every subscription from where it is to the job's head.
//
// [Hub.Live] and [Hub.Disrupted] are what the log's live tail calls. Every
// method may be called concurrently.
type Hub struct {
	log       Log
	tail      Tail
	catalogue *messaging.Catalogue
	history   *history
	cfg       Config
	logger    *slog.Logger
	metrics   *hubMetrics
	recent    *recentCatchUps

	disrupted chan struct{} // signalled when every room has to be checked

	mu    sync.RWMutex // guards the four below
	ctx   context.Context
	wg    *sync.WaitGroup
	epoch string
	rooms map[string]*room
}

// NewHub returns a hub over the log and, unless it is nil, the projection. It
// does nothing until [Hub.Run].
func NewHub(log Log, tail Tail, projection Projection, catalogue *messaging.Catalogue, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Hub, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	hub := &Hub{
		log: log, tail: tail, catalogue: catalogue, cfg: cfg, logger: logger,
		recent:    newRecentCatchUps(),
		disrupted: make(chan struct{}, 1),
		rooms:     make(map[string]*room),
	}
	hub.history = &history{
		log: log, projection: projection, encode: hub.encode, logger: logger,
		reads: make(chan struct{}, readsAtOnce), timeout: cfg.ReadTimeout,
	}
	hub.metrics = newHubMetrics(registerer, hub)
	return hub, nil
}

// Run keeps the rooms level with the log until ctx ends. It returns after every
// goroutine of the hub has.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	h.mu.Lock()
	h.ctx, h.wg = ctx, &wg
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.ctx, h.wg = nil, nil
		h.mu.Unlock()
		wg.Wait()
	}()
	ticker := time.NewTicker(min(h.cfg.CheckDelay, h.cfg.Linger) / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.disrupted:
			h.check(ctx, h.all())
		case <-ticker.C:
			h.closeIdle()
			h.check(ctx, h.due(time.Now()))
		}
	}
}

// spawn starts a goroutine that [Hub.Run] waits for. It reports false, and
// starts nothing, when the hub is not running.
func (h *Hub) spawn(work func(ctx context.Context)) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.ctx == nil {
		return false
	}
	ctx := h.ctx
	h.wg.Go(func() { work(ctx) })
	return true
}

// subscribe opens the job's room if need be, and starts a subscription's catch-up.
func (h *Hub) subscribe(jobID string, reader *reader, from start) (*subscription, error) {
	h.mu.Lock()
	if h.ctx == nil {
		h.mu.Unlock()
		return nil, ErrStopped
	}
	target := h.enter(jobID)
	h.mu.Unlock()
	sub := &subscription{room: target, sink: reader.sink, reader: reader, start: from}
	reader.add(sub)
	return sub, nil
}

// enter takes a reference to the job's room. mu is held, and the hub running.
func (h *Hub) enter(jobID string) *room {
	target, found := h.rooms[jobID]
	if !found {
		target = newRoom(jobID)
		h.rooms[jobID] = target
		ctx := h.ctx
		h.wg.Go(func() { h.open(ctx, target) })
	}
	target.refs++
	return target
}

// unsubscribe ends a subscription.
func (h *Hub) unsubscribe(sub *subscription) {
	sub.room.leave(sub)
	h.exit(sub.room)
}

// exit gives back a reference that [Hub.enter] took.
func (h *Hub) exit(target *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	target.refs--
	if target.refs == 0 {
		target.idleSince = time.Now()
	}
}

// closeIdle closes the rooms that nobody has come back to.
func (h *Hub) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for jobID, room := range h.rooms {
		if room.refs == 0 && time.Since(room.idleSince) > h.cfg.Linger && room.close() {
			delete(h.rooms, jobID)
			h.tail.Unfollow(jobID)
		}
	}
}

// open makes a room follow its job and finds out where the job's head is.
func (h *Hub) open(ctx context.Context, room *room) {
	for h.wait(ctx, h.tail.Follow(ctx, room.jobID), room) {
	}
	for ctx.Err() == nil {
		extent, err := h.log.Extent(ctx)
		var head uint64
		if err == nil {
			head, err = h.log.LastSequence(ctx, room.jobID)
		}
		if h.wait(ctx, err, room) {
			continue
		}
		h.setEpoch(extent.Epoch)
		if behind := room.open(extent.Epoch, head, time.Now()); behind {
			h.repair(ctx, room)
		}
		return
	}
}

// wait reports whether a step of a room's goroutine has to be tried again, after
// a jittered pause.
func (h *Hub) wait(ctx context.Context, err error, room *room) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	h.logger.Warn("the log does not answer", "job", room.jobID, "err", err)
	timer := time.NewTimer(h.cfg.RetryInterval + rand.N(h.cfg.RetryInterval))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Live takes one record from the log's live tail. Records of one job come from
// one goroutine, in order.
func (h *Hub) Live(record messaging.Live) {
	h.mu.RLock()
	room := h.rooms[record.JobID]
	h.mu.RUnlock()
	if room == nil {
		return
	}
	if fellBehind := room.hear(record, h.encode(record.Record)); fellBehind {
		h.spawn(func(ctx context.Context) { h.repair(ctx, room) })
	}
}

// Disrupted tells the hub that the tail may have missed records of any job. It
// does not block.
func (h *Hub) Disrupted() {
	select {
	case h.disrupted <- struct{}{}:
	default:
	}
}

// encode returns nil for a record that no client can be shown.
func (h *Hub) encode(record messaging.Record) *event {
	ev, err := newEvent(h.catalogue, record)
	if err != nil {
		h.logger.Warn("a record cannot be delivered", "job", record.JobID, "sequence", record.Sequence, "err", err)
		return nil
	}
	return ev
}
