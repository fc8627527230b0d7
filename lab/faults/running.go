package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/processes"
)

// Running is a system that another program has started. A trial on it uses jobs of its own,
// and checks only those.
type Running struct {
	// Gateways are the base URLs of the gateways, such as http://127.0.0.1:3000.
	Gateways []string
	// RedisURL, NATSURL and MongoURI are those of the gateways; MongoURI may be empty.
	RedisURL, NATSURL, MongoURI string
	// Token is sent by clients, where they need one. InternalToken opens the metrics
	// pages.
	Token, InternalToken string
	// Prefix is the prefix of the names of the trial's jobs.
	Prefix string
	// Forget removes the trial's jobs from the system after the checks.
	Forget func(ctx context.Context, jobs []string) error
}

// Validate returns an error that names the first invalid field.
func (r Running) Validate() error {
	switch {
	case len(r.Gateways) == 0:
		return errors.New("running: Gateways is empty")
	case r.RedisURL == "" || r.NATSURL == "":
		return errors.New("running: RedisURL or NATSURL is empty")
	case r.Prefix == "" || r.Forget == nil:
		return errors.New("running: Prefix or Forget is missing")
	}
	return nil
}

// Running reports whether the trial uses a system that another program has started.
func (t *Trial) Running() bool { return t.running != nil }

// attach prepares a trial on a running system.
func (t *Trial) attach(ctx context.Context) error {
	if err := t.running.Validate(); err != nil {
		return err
	}
	var err error
	if t.Journal, err = oracle.Open(filepath.Join(t.dir, "journal")); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := t.AwaitReady(starting); err != nil {
		return Skip("%v", err)
	}
	for i := range t.system.Jobs {
		t.jobs = append(t.jobs, fmt.Sprintf("%s%d", t.running.Prefix, i))
	}
	if t.Outbox, err = newOutbox(ctx, t.redisURL(), t.system.Outbox, t.Journal); err != nil {
		return err
	}
	t.Follow(ctx, earlyClient)
	return nil
}

// forget removes the trial's jobs from a running system. Its time limit grows with the events
// that were published, because their records are overwritten one by one.
func (t *Trial) forget(ctx context.Context) error {
	if !t.Running() || t.Outbox == nil || t.Outbox.Attempted() == 0 {
		return nil
	}
	t.Tell("undo: erase the %d jobs of the drill", len(t.jobs))
	limit := undoTime + time.Duration(t.Outbox.Attempted())*forgetTime
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := t.running.Forget(ctx, t.jobs); err != nil {
		return fmt.Errorf("NOT UNDONE: erase the jobs of the drill: %w", err)
	}
	return nil
}

// readyTime is how long a gateway may take to report that it is ready, before the fault.
const readyTime = 10 * time.Second

// forgetTime is how long the erasure of one event may take, several times its usual
// duration.
const forgetTime = 50 * time.Millisecond

// AwaitWhole waits until every copy of the log is up to date, and returns how many
// there are.
func (t *Trial) AwaitWhole(ctx context.Context) (copies int, err error) {
	if !t.Running() {
		return t.Lab.Replicas(), t.Lab.AwaitWhole(ctx)
	}
	conn, err := eventstore.Connect(ctx, t.natsURL(), eventstore.ConnConfig{Name: "fault run"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for {
		log, err := eventstore.Describe(ctx, conn, "", processes.EventStream)
		if err == nil && log.Led() && len(log.LaggingReplicas) == 0 {
			return log.Replicas, nil
		}
		if waited := wait.For(ctx, 200*time.Millisecond); waited != nil {
			return 0, errors.Join(fmt.Errorf("wait until every copy of the log is up to date: %d behind: %w", len(log.LaggingReplicas), waited), err)
		}
	}
}

// HoldRedis makes a running Redis hold back all published messages and close every
// subscription until [Trial.ReleaseRedis], or until limit has passed.
func (t *Trial) HoldRedis(ctx context.Context, limit time.Duration) error {
	client := t.newRedis()
	defer func() { _ = client.Close() }()
	// WRITE also holds PUBLISH, and does not hold the command that ends the pause.
	if err := client.Do(ctx, "CLIENT", "PAUSE", limit.Milliseconds(), "WRITE").Err(); err != nil {
		return fmt.Errorf("hold Redis: %w", err)
	}
	if err := client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
		return fmt.Errorf("end the subscriptions of Redis: %w", err)
	}
	return nil
}

// ReleaseRedis ends HoldRedis. It may be called more than once.
func (t *Trial) ReleaseRedis(ctx context.Context) error {
	client := t.newRedis()
	defer func() { _ = client.Close() }()
	return client.ClientUnpause(ctx).Err()
}

// The addresses of the stores, for both kinds of systems.

func (t *Trial) redisURL() string {
	if t.Running() {
		return t.running.RedisURL
	}
	return t.Lab.RedisURL()
}

func (t *Trial) natsURL() string {
	if t.Running() {
		return t.running.NATSURL
	}
	return t.Lab.NATSURL()
}

func (t *Trial) mongoURI() string {
	if t.Running() {
		return t.running.MongoURI
	}
	return t.Lab.MongoURI()
}
