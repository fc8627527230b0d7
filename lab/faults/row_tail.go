package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

func tailRows() []Row {
	embedded := System{Mongo: true, Jobs: 6}
	server := System{Nodes: 1, Mongo: true, Jobs: 6, Gateways: 2}
	cluster := System{Nodes: 3, Mongo: true, Jobs: 6, Gateways: 2}
	const limit = 45 * time.Second
	return []Row{
		{
			Number: 28, Title: "the log's folder is put back from a copy, the log inside the gateway", Limit: limit, InCI: true,
			System: embedded, Run: loseTail((*Trial).replaceFolder),
		},
		{
			Number: 28, Variant: "volume", Title: "the log's volume is put back to a snapshot, the log inside the gateway", Limit: limit,
			System: embedded, Run: loseTail((*Trial).rewindFolder),
		},
		{
			Number: 28, Variant: "block", Title: "the newest block of the log is cut short, the log inside the gateway", Limit: limit,
			System: embedded, Run: damageBlock(cutBlock),
		},
		{
			Number: 28, Variant: "server", Title: "the volume of the NATS server behind 2 running gateways is put back to a snapshot", Limit: limit,
			System: server, Run: loseTail((*Trial).rewindFolder),
		},
		{
			Number: 28, Variant: "server-block", Title: "the newest block of the NATS server behind 2 running gateways is cut short", Limit: limit,
			System: server, Run: damageBlock(cutBlock),
		},
		{
			Number: 28, Variant: "bit", Title: "one bit of the log is flipped before the gateway with it recovers from kill -9", Limit: limit,
			System: embedded, Run: damageBlock(flipMiddle),
		},
		{
			Number: 28, Variant: "server-bit", Title: "one bit of the log is flipped before the NATS server recovers from kill -9", Limit: limit,
			System: server, Run: damageBlock(flipMiddle),
		},
		{
			Number: 28, Variant: "cluster", Title: "the volumes of all 3 NATS nodes behind running gateways are put back to snapshots", Limit: limit,
			System: cluster, Run: loseTail((*Trial).rewindFolder),
		},
		{
			Number: 28, Variant: "node", Title: "the volume of one of 3 NATS nodes is put back to a snapshot", Limit: limit,
			System: cluster, Run: rewindNode,
		},
	}
}

// lostTail is the state of a log before its tail is lost.
type lostTail struct {
	epoch     string
	last      uint64
	records   []stored
	positions map[string]string // of a client that disconnects
}

// stored is one record of the log.
type stored struct {
	id, job  string
	sequence uint64
}

// beforeTailLost waits until the system is quiet, and returns the state of the log.
func (t *Trial) beforeTailLost(ctx context.Context) (*lostTail, error) {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return nil, err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return nil, err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	// MongoDB must have the tail as well.
	if err := t.AwaitProjected(ctx, log); err != nil {
		return nil, err
	}
	state, err := log.State(ctx)
	if err != nil {
		return nil, err
	}
	lost := &lostTail{epoch: state.Epoch, last: state.Last, positions: t.Positions()}
	_, err = t.readLog(ctx, log, func(id, job string, sequence uint64) {
		lost.records = append(lost.records, stored{id, job, sequence})
	})
	return lost, err
}

// purgedAfter records in the journal that the fault removed every event after a sequence.
func (t *Trial) purgedAfter(lost *lostTail, sequence uint64) error {
	taken := 0
	for _, r := range lost.records {
		if r.sequence > sequence {
			t.Journal.Purged(r.id, r.job, r.sequence)
			taken++
		}
	}
	if taken == 0 {
		return errors.New("the fault removed no event, so that the row proves nothing")
	}
	t.Measure("acknowledged events that the fault took from the disk", float64(taken), "")
	return nil
}

// afterTailLost waits until events are acknowledged again. It checks that one new epoch
// began, that every client received its gap, and, after stop has ended the load, that the
// read models are folds of the log.
func (t *Trial) afterTailLost(ctx context.Context, lost *lostTail, since time.Time, stop func()) error {
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	t.Measure("until every client was told of the new epoch", float64(time.Since(since).Milliseconds()), "ms")
	t.Return(ctx, "away", lost.positions)
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	// Wait until sequences that the lost events had are assigned again.
	for {
		state, err := log.State(ctx)
		if err == nil && state.Last > lost.last {
			break
		}
		if err := t.Outbox.AwaitMore(ctx, 1); err != nil {
			return err
		}
	}
	identity, found, err := log.Identity(ctx)
	if err != nil {
		return err
	}
	if !found || identity.Epoch == lost.epoch || !slices.Equal(identity.Previous, []string{lost.epoch}) {
		return fmt.Errorf("epoch %s was followed by %+v, want one new epoch", lost.epoch, identity)
	}
	t.Note("one new epoch, because of %s: %s", identity.Reason, identity.Detail)
	stop()
	return t.verifyModels(ctx)
}

// verifyModels waits until everything is projected, and compares each read model with
// a fold of the log.
func (t *Trial) verifyModels(ctx context.Context) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	log, models, done, err := t.OpenStores(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := t.AwaitProjected(ctx, log); err != nil {
		return err
	}
	for _, name := range projections.Names() {
		model, err := models.Model(name)
		if err != nil {
			return err
		}
		report, err := rebuild.New(log, model, nil).Verify(ctx, false, 5)
		if err == nil && !report.Equal {
			err = errors.New("the documents are not a fold of the log")
		}
		if err != nil {
			return fmt.Errorf("%s in the end: %w: %+v", name, err, report)
		}
		t.Measure(name+": documents equal to the log", float64(report.Found), "")
	}
	return nil
}

// loseTail copies the folders of all processes that keep the log, publishes more events, puts
// the folders back to the copies, and publishes again at once.
func loseTail(putBack func(*Trial, *processes.Process, string) error) func(context.Context, *Trial) error {
	return func(ctx context.Context, t *Trial) error {
		stop := t.Load(100)
		defer func() { stop() }()
		if err := t.Outbox.AwaitMore(ctx, 200); err != nil {
			return err
		}
		floor, copies, err := t.copyLog(ctx, t.keepers())
		if err != nil {
			return err
		}
		if err := t.Outbox.AwaitMore(ctx, t.Scaled("events after the copy", 1000, 300, 100)); err != nil {
			return err
		}
		stop()
		lost, err := t.beforeTailLost(ctx)
		if err != nil {
			return err
		}
		if err := t.purgedAfter(lost, floor); err != nil {
			return err
		}
		t.ExpectEpoch()
		keepers := t.keepers()
		for _, p := range keepers {
			p.Kill()
		}
		for i, p := range keepers {
			if err := putBack(t, p, copies[i]); err != nil {
				return err
			}
		}
		since := time.Now()
		stop = t.Load(100)
		if err := startAll(ctx, keepers); err != nil {
			return err
		}
		return t.afterTailLost(ctx, lost, since, stop)
	}
}

// copyLog copies the folders of processes while events are published. It also returns the
// last sequence before the copy.
func (t *Trial) copyLog(ctx context.Context, processes []*processes.Process) (floor uint64, copies []string, err error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	state, err := log.State(ctx)
	if err != nil {
		return 0, nil, err
	}
	copies, err = t.copyFolders(processes)
	return state.Last, copies, err
}

// damageBlock kills the only keeper of the log with kill -9, damages the newest block, and
// starts the keeper again: the server drops what follows the damage.
func damageBlock(damage func(path string) error) func(context.Context, *Trial) error {
	return func(ctx context.Context, t *Trial) error {
		if err := t.PublishSome(ctx, t.Scaled("events", 2000, 600, 200)); err != nil {
			return err
		}
		lost, err := t.beforeTailLost(ctx)
		if err != nil {
			return err
		}
		t.ExpectEpoch()
		keeper := t.keepers()[0]
		keeper.Kill()
		blocks, err := t.blocks(keeper)
		if err != nil {
			return err
		}
		if err := damage(blocks[len(blocks)-1]); err != nil {
			return err
		}
		since := time.Now()
		if err := keeper.Start(ctx); err != nil {
			return err
		}
		return t.recovered(ctx, lost, since)
	}
}

// recovered records what a fault has removed from the log, publishes again, and checks that
// one new epoch began; see [Trial.afterTailLost].
func (t *Trial) recovered(ctx context.Context, lost *lostTail, since time.Time) error {
	left, err := t.whatIsLeft(ctx, lost)
	if err != nil {
		return err
	}
	if err := t.purgedAfter(lost, left); err != nil {
		return err
	}
	stop := t.Load(100)
	defer stop()
	return t.afterTailLost(ctx, lost, since, stop)
}

// whatIsLeft returns the last sequence of a log that was cut. It fails if an earlier record
// is missing.
func (t *Trial) whatIsLeft(ctx context.Context, lost *lostTail) (last uint64, err error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	there := map[stored]bool{}
	if _, err := t.readLog(ctx, log, func(id, job string, sequence uint64) {
		there[stored{id, job, sequence}] = true
		last = max(last, sequence)
	}); err != nil {
		return 0, err
	}
	for _, r := range lost.records {
		if r.sequence <= last && !there[r] {
			return 0, fmt.Errorf("the log goes up to %d, and lacks %s at %d", last, r.id, r.sequence)
		}
	}
	return last, nil
}

// rewindNode puts the folder of one node of three back to a copy. The others have every
// record, so the node has to recover in the same epoch, and no client may receive a gap.
func rewindNode(ctx context.Context, t *Trial) error {
	stop := t.Load(100)
	defer stop()
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	node := t.Lab.NATS((leader + 1) % t.Lab.Nodes())
	if err := t.Outbox.AwaitMore(ctx, 200); err != nil {
		return err
	}
	_, copies, err := t.copyLog(ctx, []*processes.Process{node})
	if err != nil {
		return err
	}
	if err := t.Outbox.AwaitMore(ctx, t.Scaled("events after the copy", 1000, 300, 100)); err != nil {
		return err
	}
	before, err := t.epoch(ctx)
	if err != nil {
		return err
	}
	if err := t.Lab.AwaitWhole(ctx); err != nil {
		return err
	}
	node.Kill()
	if err := t.rewindFolder(node, copies[0]); err != nil {
		return err
	}
	since := time.Now()
	if err := node.Start(ctx); err != nil {
		return err
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	if err := t.Lab.AwaitWhole(ctx); err != nil {
		return err
	}
	t.Measure("until every copy was up to date again", float64(time.Since(since).Milliseconds()), "ms")
	// Make the node the leader, so that it answers every read.
	if err := t.lead(ctx, node); err != nil {
		return err
	}
	if err := t.Outbox.AwaitMore(ctx, 100); err != nil {
		return err
	}
	stop()
	if err := t.verifyModels(ctx); err != nil {
		return err
	}
	after, err := t.epoch(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("epoch %s became %s, although two of three nodes had every record", before, after)
	}
	if err == nil {
		t.Note("the node has led the log since, in the same epoch")
	}
	return err
}

// epoch returns the epoch of the log.
func (t *Trial) epoch(ctx context.Context) (string, error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return log.Epoch(), nil
}
