package eventstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// Follower receives what a [Tail] hears.
type Follower interface {
	// Live gets one record of a followed job. Records of one job come in order
	// and on one goroutine, records of several jobs on a few at once. It is
	// expected to return soon: while it does not, its shard's queue fills. A
	// record may still come shortly after its job was unfollowed. One without a JobID is of
	// no job: it exercises the tail.
	Live(messaging.Live)
	// Disrupted says that any followed job may have missed records up to now
	// without a later one to tell, and why. It is never called twice at once, but
	// beside Live.
	Disrupted(messaging.Disruption)
}

// overflowCheck is the pace at which a subscription that has dropped records is
// asked whether it dropped more.
const overflowCheck = 250 * time.Millisecond

// A [Tail] has tailShards queues, and as many goroutines that call [Follower.Live].
// Each queue holds up to tailQueueLength records. A full queue drops records, and
// the follower is told so ([Follower.Disrupted]).
const (
	tailShards      = 4
	tailQueueLength = 4096
)

// Tail hears the records of followed jobs as the log stores them.
//
// Each followed job is one core subscription to what the stream republishes, so
// the cost follows the interest of this process and not the traffic of the log.
// All jobs of a shard share one bounded queue and one goroutine.
//
// Delivery is at most once, and it shows when a record is missing: by the next
// one of its job ([messaging.Live].Previous), or, where there may be none, by
// [Follower.Disrupted].
type Tail struct {
	log    *Log
	guard  *contain.Guard
	shards []chan *nats.Msg // By hash of the job's token.
	seed   maphash.Seed
	ran    atomic.Bool
	// running says that Run has made the canary's subscriptions, and has not ended.
	running atomic.Bool
	canary  *tailCanary
	// check wakes the watcher: a subscription reported that it dropped records.
	check chan struct{}
	// renewed wakes the watcher: a new epoch began, or sequences went back.
	renewed chan struct{}

	// mu guards the fields below. It is never held during a call of the client,
	// which keeps its own lock while it dials.
	mu sync.Mutex
	// jobs are the followed jobs by token.
	jobs map[string]*interest
	// dropping are the subscriptions that have dropped records, and how many
	// when last asked. The client reports only the first of a series.
	dropping map[*nats.Subscription]int
}

// interest is one followed job.
type interest struct {
	// settled is closed once sub or err is set; neither changes afterwards.
	settled chan struct{}
	sub     *nats.Subscription
	err     error
	// unwanted is guarded by the tail's lock: the job was unfollowed before sub
	// was there.
	unwanted bool
}

// NewTail returns a tail that receives nothing until [Tail.Run] runs.
func NewTail(log *Log) *Tail {
	tail := &Tail{
		log:      log,
		guard:    log.guard,
		shards:   make([]chan *nats.Msg, tailShards),
		canary:   newTailCanary(tailShards),
		seed:     maphash.MakeSeed(),
		check:    make(chan struct{}, 1),
		renewed:  make(chan struct{}, 1),
		jobs:     make(map[string]*interest),
		dropping: make(map[*nats.Subscription]int),
	}
	log.lineage.listen(tail.renewed)
	for i := range tail.shards {
		tail.shards[i] = make(chan *nats.Msg, tailQueueLength)
	}
	return tail
}

// Run hands records to f until ctx ends, then unfollows every job and returns
// nil after the last call to f has returned. It may be called once, and for one
// tail of a connection at a time: it listens to the connection's errors.
func (t *Tail) Run(ctx context.Context, f Follower) error {
	if t.ran.Swap(true) {
		return ErrTailRunning
	}
	conn := t.log.client.Conn
	status := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(status)
	restore := t.listenForDrops()
	defer restore()

	if err := t.canary.subscribe(conn, t.shards); err != nil { // Only after the connection was closed.
		t.log.logger.Debug("the live tail is not exercised", "error", err)
	} else {
		t.running.Store(true)
	}
	defer t.canary.unsubscribe()
	defer t.running.Store(false)
	var running sync.WaitGroup
	for n, queue := range t.shards {
		running.Go(func() { // Stopped by ctx.
			_ = t.guard.Persist(ctx, "live tail", func() error { t.serve(ctx, n, queue, f); return nil })
		})
	}
	running.Go(func() { // Stopped by ctx.
		_ = t.guard.Persist(ctx, "tail watcher", func() error { t.watch(ctx, status, f); return nil })
	})
	running.Wait()
	t.unfollowAll()
	return nil
}

// Follow asks for the job's records and returns once the server knows. Following
// a followed job only waits for that. After an error the job may be followed or
// not: follow it again, or unfollow it.
//
// In a cluster the interest takes a moment longer to reach the other servers; a
// record stored there meanwhile can be missed without a mark.
func (t *Tail) Follow(ctx context.Context, jobID string) error {
	token, err := layout.Token(jobID)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.log.cfg.ReadTimeout)
	defer cancel()
	wanted := t.want(token)
	select {
	case <-wanted.settled:
	case <-ctx.Done():
		return fmt.Errorf("follow %s: %w", token, jet.Unavailable(ctx.Err()))
	}
	if wanted.err != nil {
		return fmt.Errorf("follow %s: %w", token, jet.Unavailable(wanted.err))
	}
	_, err = jet.Within(ctx, func() (struct{}, error) { return struct{}{}, t.log.client.Conn.FlushWithContext(ctx) })
	if err != nil {
		return fmt.Errorf("follow %s: %w", token, jet.Unavailable(err))
	}
	return nil
}

// Unfollow ends the interest in the job, if there is one. It may wait for the
// client's lock, which is held while the client dials a server.
func (t *Tail) Unfollow(jobID string) {
	token, err := layout.Token(jobID)
	if err != nil {
		return // Never followed.
	}
	t.unsubscribe(t.forget(token))
}

// want returns the interest in a job, and begins it if there is none.
func (t *Tail) want(token string) *interest {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted, followed := t.jobs[token]
	if !followed {
		wanted = &interest{settled: make(chan struct{})}
		t.jobs[token] = wanted
		// Ends when the client's lock is free, which no context can shorten.
		go t.subscribe(token, wanted)
	}
	return wanted
}

// subscribe makes the subscription of a job. A panic is an error of the attempt: those who
// wait for it are answered, and the next Follow tries again.
func (t *Tail) subscribe(token string, wanted *interest) {
	defer t.guard.Recover("subscription of a job", nil) // when it ends
	var sub *nats.Subscription
	err := t.guard.Do("subscription of a job", func() (err error) {
		sub, err = t.log.client.Conn.ChanSubscribe(layout.LivePrefix+token, t.shardOf(token))
		return err
	})
	t.mu.Lock()
	wanted.sub, wanted.err = sub, err
	close(wanted.settled)
	unwanted := wanted.unwanted
	switch {
	case unwanted:
	case err != nil:
		delete(t.jobs, token) // The next Follow tries again.
	default:
		t.log.metrics.followed.Inc()
	}
	t.mu.Unlock()
	if unwanted {
		t.unsubscribe(sub)
	}
}

// shardOf returns the queue of a job.
func (t *Tail) shardOf(token string) chan *nats.Msg {
	return t.shards[maphash.String(t.seed, token)%uint64(len(t.shards))]
}

// forget takes a job out of the followed ones, and returns its subscription, if
// that is there already.
func (t *Tail) forget(token string) *nats.Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	followed := t.jobs[token]
	if followed == nil {
		return nil
	}
	delete(t.jobs, token)
	if followed.sub == nil {
		followed.unwanted = true
		return nil
	}
	delete(t.dropping, followed.sub)
	t.log.metrics.followed.Dec()
	return followed.sub
}

func (t *Tail) unsubscribe(sub *nats.Subscription) {
	if sub == nil {
		return
	}
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		t.log.logger.Debug("subscription did not end", "error", err)
	}
}

func (t *Tail) unfollowAll() {
	t.mu.Lock()
	tokens := slices.Collect(maps.Keys(t.jobs))
	t.mu.Unlock()
	for _, token := range tokens {
		t.unsubscribe(t.forget(token))
	}
}
