package ingest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// census compares how many messages were published in Redis with how many this gateway has
// read, to estimate how many a gap in the subscription has cost. Redis disconnects a
// subscriber whose output buffer exceeds its limit, which one message of 40 MB can cause,
// and drops the messages in the buffer.
//
// Redis counts the PUBLISH commands of all channels together, so the result is an upper
// bound. It is unknown if Redis was restarted, if the user may not run INFO, or if Redis is
// a cluster. Redis may count a message some time before it is read or lost, so census keeps
// the counts of the last minute and compares a gap with the oldest of them. Only one
// goroutine at a time may use a census.
type census struct {
	client  *redis.Client
	timeout time.Duration
	// passed returns how many messages this gateway has read from the events channel
	// and published on the receipts channel since it was started.
	passed func() uint64
	// counts are the newest maxCounts since the last gap, the oldest first.
	counts []count
}

// maxCounts bounds the counts that are kept. There is one every two seconds, so they cover
// about a minute.
const maxCounts = 32

// count is the state of Redis and of this gateway at one moment.
type count struct {
	run       string // id of the Redis process
	published uint64
	passed    uint64
}

// newCensus returns a census with a connection of its own; close ends the connection.
func newCensus(options *redis.Options, timeout time.Duration, passed func() uint64) *census {
	own := connectOptions(options)
	own.MaxRetries = -1
	own.PoolSize = 1
	own.MinIdleConns = 0
	return &census{client: redis.NewClient(own), timeout: timeout, passed: passed}
}

func (c *census) close() { _ = c.client.Close() }

// follow takes a count every interval until ctx ends.
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

// missed takes a count and returns at most how many messages were published and not read
// since the oldest count kept. It returns false if that is unknown.
func (c *census) missed(ctx context.Context) (messages uint64, known bool) {
	if len(c.counts) == 0 {
		return 0, false
	}
	before := c.counts[0]
	if !c.take(ctx) {
		return 0, false
	}
	now := c.counts[len(c.counts)-1]
	c.counts = []count{now} // earlier counts belong to this gap only
	if before.run != now.run {
		return 0, false
	}
	published, passed := now.published-before.published, now.passed-before.passed
	return published - min(published, passed), true
}

// take adds a count, and reports whether Redis answered. If it did not, the counts are
// unchanged.
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
			if value == "cluster" { // each node counts only its own publishes
				return false
			}
		case "cmdstat_publish":
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			now.published, _ = strconv.ParseUint(calls, 10, 64) // absent before the first PUBLISH
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
