package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/projections"
)

func ownWriterRows() []Row {
	system := System{Nodes: 1, Mongo: true}
	two := system
	two.Gateways = 2
	return []Row{
		{Number: 35, Title: "a worker writes MongoDB itself, which is away and comes back", InCI: true, System: system, Run: ownWritten(awayMongo)},
		{Number: 35, Variant: "gateway", Title: "a worker writes MongoDB itself while one of two gateways is killed", InCI: true, System: two, Run: ownWritten(killOneGateway)},
		{Number: 35, Variant: "rebuild", Title: "a worker writes MongoDB itself across a rebuild and its swap", InCI: true, System: system, Run: ownWritten(rebuildBeside)},
	}
}

const (
	// ownRate is the number of events per second that are published and written. FerretDB
	// limits it: it reads the whole collection for each document that is adopted.
	ownRate = 10
	// onceLimit is how long after the last write a program that reads the collection may
	// find an event twice. The short run does not judge it, because it depends on the speed
	// of FerretDB on a busy machine.
	onceLimit = 5 * time.Second
)

// ownWritten returns a row's Run in which a worker also writes each event that it publishes
// into MongoDB, while fault is called. No page and no fresh subscription may have an event
// twice, and soon after the last event MongoDB must have each event once.
func ownWritten(fault func(context.Context, *Trial, *maintain.Log, Models) error) func(context.Context, *Trial) error {
	return func(ctx context.Context, t *Trial) error {
		log, models, done, err := t.OpenStores(ctx)
		if err != nil {
			return err
		}
		defer done()
		writer, err := t.newOwnWriter(ctx)
		if err != nil {
			return err
		}
		defer writer.close()
		watcher := t.watch(ctx)
		stop := t.Load(ownRate)
		err = t.Outbox.AwaitMore(ctx, ownRate)
		if err == nil {
			err = fault(ctx, t, log, models)
		}
		if err == nil {
			err = t.Outbox.AwaitMore(ctx, ownRate)
		}
		stop()
		if err == nil {
			err = t.judgeOnce(ctx, writer, log)
		}
		pages, visits, twice := watcher.stop()
		t.Measure("pages read meanwhile", float64(pages), "")
		t.Measure("fresh subscriptions meanwhile", float64(visits), "")
		if err == nil && (pages == 0 || visits == 0) {
			err = errors.New("no page was read, or no subscription was made")
		}
		return errors.Join(err, twice)
	}
}

// judgeOnce waits until the system is quiet, and then until MongoDB has each event once.
func (t *Trial) judgeOnce(ctx context.Context, writer *ownWriter, log *maintain.Log) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	if err := writer.awaitIdle(ctx); err != nil {
		return err
	}
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	quiet := time.Now()
	t.Measure("documents that the worker wrote", float64(writer.written.Load()), "")
	t.Measure("writes of the worker that failed", float64(writer.failed.Load()+writer.missed.Load()), "")
	if err := writer.awaitOnce(ctx, t.Outbox.Published()); err != nil {
		return err
	}
	took := time.Since(quiet)
	t.Measure("from quiet until each event stood once in MongoDB", float64(took.Milliseconds()), "ms")
	if took > onceLimit && !t.Short {
		return fmt.Errorf("a program that reads the collection found events twice for %s after it was quiet, at most %s", took.Round(time.Millisecond), onceLimit)
	}
	return nil
}

// awayMongo pauses MongoDB, which keeps its connections, and then kills it.
func awayMongo(ctx context.Context, t *Trial, _ *maintain.Log, _ Models) error {
	away := time.Duration(t.Scaled("seconds away", 20, 8, 2)) * time.Second
	if err := t.Lab.Mongo().Pause(); err != nil {
		return err
	}
	paused := wait.For(ctx, away)
	if err := errors.Join(paused, t.Lab.Mongo().Resume()); err != nil {
		return err
	}
	if err := t.Outbox.AwaitMore(ctx, ownRate); err != nil {
		return err
	}
	t.Lab.Mongo().Kill()
	if err := wait.For(ctx, away); err != nil {
		return err
	}
	return t.Lab.Mongo().Start(ctx)
}

// killOneGateway kills each of two gateways in turn, and starts it again.
func killOneGateway(ctx context.Context, t *Trial, _ *maintain.Log, _ Models) error {
	for range t.Scaled("rounds", 5, 2, 1) {
		for _, gateway := range t.Gateways {
			gateway.Kill()
			if err := t.Outbox.AwaitMore(ctx, ownRate); err != nil {
				return err
			}
			if err := gateway.Start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// rebuildBeside rebuilds the history and swaps it in.
func rebuildBeside(ctx context.Context, t *Trial, log *maintain.Log, models Models) error {
	more := func() error { return t.Outbox.AwaitMore(ctx, ownRate) }
	for range t.Scaled("rounds", 3, 2, 1) {
		if _, err := t.rebuild(ctx, log, models, projections.History, true, more); err != nil {
			return err
		}
		if err := more(); err != nil {
			return err
		}
	}
	return nil
}
