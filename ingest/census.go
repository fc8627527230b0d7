package ingest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// census compares how many messages were published in Redis with how many this
// gateway has read, so that a gap in the subscription has a size: Redis drops a
// subscriber whose output buffer has grown past its limit, as one message of 40 MB
// does, and the messages in that buffer are gone.
//
// Redis counts the PUBLISH commands of all channels together. What is missing after
// a gap is therefore an upper bound, and unknown where Redis was started again, the user
// may not run INFO, or Redis is a cluster. A message may be counted by Redis some time before it is
// read, or lost: the counts of a while are kept, and a gap is compared with the oldest
// of them. One goroutine at a time uses a census.
type census struct {
	client  *redis.Client
	timeout time.Duration
	// passed returns how many messages this gateway has read from the events channel
	// and published on the receipts channel since it was started.
	passed func() uint64
	// counts are the newest maxCounts since the last gap, the oldest first.
	counts []count
}

// maxCounts bounds the counts that are kept: at one every two seconds, for a minute.
const maxCounts = 32

// count is the state of Redis and of this gateway at one moment.
type count struct {
	run       string // id of the Redis process
	published uint64
	passed    uint64
}

// newCensus returns a census on a connection of its own; close ends it.
func newCensus(options *redis.Options, timeout time.Duration, passed func() uint64) *census {
	own := connectOptions(options)
	own.MaxRetries = -1
	own.PoolSize = 1
	own.MinIdleConns = 0
	return &census{client: redis.NewClient(own), timeout: timeout, passed: passed}
}

func (c *census) close() { _ = c.client.Close() }

// follow counts every interval until ctx ends.
func (c *census) follow(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		c.take(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// missed counts, and returns how many messages at most were published and not read since
// the oldest count that is kept. It reports false when that is unknown.
func (c *census) missed(ctx context.Context) (messages uint64, known bool) {
	if len(c.counts) == 0 {
		return 0, false
	}
	before := c.counts[0]
	if !c.take(ctx) {
		return 0, false
	}
	now := c.counts[len(c.counts)-1]
	c.counts = []count{now} // what came before counts for this gap alone
	if before.run != now.run {
		return 0, false
	}
	published, passed := now.published-before.published, now.passed-before.passed
	return published - min(published, passed), true
}

// take counts, and reports whether Redis answered. A count that failed leaves the one
// before it.
func (c *census) take(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	info, err := c.client.Info(ctx, "server", "commandstats").Result()
	if err != nil {
		return false
	}
	now := count{passed: c.passed()}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "run_id":
			now.run = value
		case "redis_mode":
			if value == "cluster" { // each node counts what was published through it
				return false
			}
		case "cmdstat_publish":
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			now.published, _ = strconv.ParseUint(calls, 10, 64) // absent before the first
		}
	}
	if now.run == "" {
		return false
	}
	if len(c.counts) == maxCounts {
		c.counts = append(c.counts[:0], c.counts[1:]...)
	}
	c.counts = append(c.counts, now)
	return true
}
