package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
)

// cutPause lies between two rounds of cutting connections.
const cutPause = 10 * time.Millisecond

var (
	// errNothingToCut is returned when Redis lists no connection of the kind.
	errNothingToCut = errors.New("redis lists no such connection")
	// errNoRestart is returned when the server refuses to be restarted. A hook that
	// restarts it helps, or enable-debug-command in its configuration.
	errNoRestart = errors.New("this Redis cannot be restarted from here")
	// errSameRun is returned when the process that answers afterwards is the one from
	// before, or none answers.
	errSameRun = errors.New("redis was not restarted")
)

// restartLimit is how long a restarted server may take to answer, beyond the time for
// which it is to be down.
const restartLimit = 10 * time.Second

// resetRedis breaks what the options name, for as long as they say, and notes the
// outage in the result.
func (t *trial) resetRedis(ctx context.Context, p *producer) error {
	began := time.Now()
	var err error
	if t.opts.RedisReset == load.ResetServer {
		err = t.restartRedis(ctx)
	} else {
		err = t.cutConnections(ctx, p)
	}
	t.result.Outages = append(t.result.Outages, load.Window{
		What: "Redis " + t.opts.RedisReset, FromMs: measure.Ms(began.Sub(t.began)), ToMs: measure.Ms(time.Since(t.began)),
	})
	if err != nil {
		return fmt.Errorf("reset of the Redis %s: %w", t.opts.RedisReset, err)
	}
	return nil
}

// mustCut skips the scenario where its reset cuts connections and the server cannot
// list them, as the Redis of the development stack cannot.
func (t *trial) mustCut(ctx context.Context) error {
	if t.opts.RedisResetSequence == 0 || t.opts.RedisReset == load.ResetServer {
		return nil
	}
	options, err := redisOptions(t.cfg.RedisURL)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }() // nothing is under way
	err = client.Do(ctx, "CLIENT", "LIST").Err()
	if refusal := redis.Error(nil); errors.As(err, &refusal) {
		return t.skip("this Redis cannot list its connections, so that none can be cut: %v", err)
	}
	return err
}

// restartRedis takes the server down and up again, and makes sure that another
// process answers then.
func (t *trial) restartRedis(ctx context.Context) error {
	options, err := redisOptions(t.cfg.RedisURL)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }() // nothing is under way
	before, err := runID(ctx, client)
	if err != nil {
		return err
	}
	if t.env.RestartRedis != nil {
		if err := t.env.RestartRedis(ctx, t.opts.RedisResetDelay()); err != nil {
			return err
		}
	} else {
		err := client.Do(ctx, "DEBUG", "RESTART", t.opts.RedisResetDelayMs).Err()
		if refusal := redis.Error(nil); errors.As(err, &refusal) {
			return fmt.Errorf("%w: %w", errNoRestart, err)
		}
		// Any other error may be the connection that broke with the server.
	}
	return awaitRestart(ctx, client, before, t.opts.RedisResetDelay()+restartLimit)
}

// awaitRestart waits until another run of the server than the one from before
// answers.
func awaitRestart(ctx context.Context, client *redis.Client, before string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		now, err := runID(ctx, client)
		if err == nil && now != before {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(errSameRun, err)
		}
		if err := wait.For(ctx, cutPause); err != nil {
			return err
		}
	}
}

// runID returns what the server calls its process.
func runID(ctx context.Context, client *redis.Client) (string, error) {
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("ask for its run_id: %w", err)
	}
	return info["Server"]["run_id"], nil
}

// cutConnections closes connections on the server's side, again and again until
// the time is over.
func (t *trial) cutConnections(ctx context.Context, p *producer) error {
	options, err := redisOptions(t.cfg.RedisURL)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }() // nothing is under way
	cut := 0
	for end := time.Now().Add(t.opts.RedisResetDelay()); ; {
		n, err := t.cutOnce(ctx, client, p)
		if err != nil {
			return err
		}
		if cut += n; time.Now().After(end) {
			break
		}
		if err := wait.For(ctx, cutPause); err != nil {
			return err
		}
	}
	if cut == 0 {
		return errNothingToCut
	}
	return nil
}

// cutOnce closes the connections that there are now.
func (t *trial) cutOnce(ctx context.Context, client *redis.Client, p *producer) (cut int, err error) {
	command := []any{"CLIENT", "LIST"}
	if t.opts.RedisReset == load.ResetSubscriber {
		command = append(command, "TYPE", "pubsub")
	}
	list, err := client.Do(ctx, command...).Text()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(list) {
		fields := clientFields(line)
		ours := fields["name"] == p.name
		if ours != (t.opts.RedisReset == load.ResetPublisher) || fields["id"] == "" {
			continue
		}
		if err := client.Do(ctx, "CLIENT", "KILL", "ID", fields["id"]).Err(); err != nil {
			return cut, err
		}
		cut++
	}
	return cut, nil
}

// clientFields reads a line of CLIENT LIST: key=value, separated by blanks.
func clientFields(line string) map[string]string {
	fields := map[string]string{}
	for field := range strings.FieldsSeq(line) {
		if key, value, has := strings.Cut(field, "="); has {
			fields[key] = value
		}
	}
	return fields
}
