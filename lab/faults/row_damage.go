package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
)

func damageRows() []Row {
	return []Row{
		{
			Number: 36, Title: "one bit of an event flipped on disk, the log inside the gateway", InCI: true,
			System: System{Mongo: true, Jobs: 6}, Run: flipBit,
		},
		{
			Number: 36, Variant: "server", Title: "one bit of an event flipped on the disk of the NATS server behind 2 gateways",
			System: System{Nodes: 1, Mongo: true, Jobs: 6, Gateways: 2}, Run: flipBit,
		},
		{
			Number: 36, Variant: "cluster", Title: "one bit of an event flipped on the disk of one of 3 NATS nodes",
			System: System{Nodes: 3, Mongo: true, Jobs: 6, Gateways: 2}, Run: flipBitOfOne,
		},
	}
}

// flipBit damages one event of the only copy. The other events must be served, and doctor,
// backup and scrub must find the damaged one.
func flipBit(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, t.Scaled("events", 1000, 300, 100)); err != nil {
		return err
	}
	lost, err := t.beforeTailLost(ctx)
	if err != nil {
		return err
	}
	victim := lost.records[len(lost.records)/2]
	whole := filepath.Join(t.dir, "whole")
	if _, err := t.operate(ctx, 0, nil, "backup", whole); err != nil {
		return err
	}
	keeper := t.keepers()[0]
	// An orderly stop: after a kill -9 the server checks each block itself and cuts it off
	// where it is damaged, which row 28 tests.
	if err := keeper.Stop(ctx); err != nil {
		return err
	}
	if err := t.flip(keeper, fmt.Sprintf(`"id":%q`, victim.id)); err != nil {
		return err
	}
	t.Journal.Purged(victim.id, victim.job, victim.sequence)
	since := time.Now()
	if err := keeper.Start(ctx); err != nil {
		return err
	}
	stop := t.Load(50)
	defer stop()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	unreadable := fmt.Sprintf("not readable: %d", victim.sequence)
	said, err := t.operate(ctx, 3, nil, "doctor", "--deep")
	if err != nil {
		return err
	}
	if !strings.Contains(said, unreadable) {
		return fmt.Errorf("doctor --deep does not name %d: %s", victim.sequence, said)
	}
	said, err = t.operate(ctx, 1, nil, "backup", filepath.Join(t.dir, "damaged"))
	if err != nil {
		return err
	}
	if !strings.Contains(said, unreadable) {
		return fmt.Errorf("backup does not name %d: %s", victim.sequence, said)
	}
	if err := t.flipBackup(ctx, whole); err != nil {
		return err
	}
	if err := t.awaitScrub(ctx); err != nil {
		return err
	}
	t.Note("doctor --deep, backup and the scrub name sequence %d, and restore --check a flipped bit of a backup", victim.sequence)
	return nil
}

// flipBackup checks that the check of a backup finds one flipped bit.
func (t *Trial) flipBackup(ctx context.Context, dir string) error {
	if _, err := t.operate(ctx, 0, nil, "restore", dir, "--check"); err != nil {
		return err
	}
	if err := flipMiddle(filepath.Join(dir, processes.EventStream, "stream.arc.s2")); err != nil {
		return err
	}
	_, err := t.operate(ctx, 3, nil, "restore", dir, "--check")
	return err
}

// awaitScrub makes the gateways scrub the log, and waits until each reports one unreadable
// record. An embedded log is scrubbed at the start; for another log the record of the last
// scrub is removed, so that the next one is due.
func (t *Trial) awaitScrub(ctx context.Context) error {
	if t.Lab.Nodes() > 0 {
		js, disconnect, err := t.jetStream()
		if err != nil {
			return err
		}
		defer disconnect()
		stream, err := js.Stream(ctx, "NOVEL_IDENTITY")
		if err == nil {
			err = stream.Purge(ctx, jetstream.WithPurgeSubject("novel.identity.scrub"))
		}
		if err != nil {
			return fmt.Errorf("forget the last scrub: %w", err)
		}
		t.Gateways[0].Kill()
		if err := t.Gateways[0].Start(ctx); err != nil {
			return err
		}
	}
	since := time.Now()
	for {
		found, err := metric(ctx, t.Gateways[0], "realtime_eventstore_unreadable_records")
		if err != nil {
			return err
		}
		if found == 1 {
			t.Measure("until the scrub shows it", float64(time.Since(since).Milliseconds()), "ms")
			return nil
		}
		if err := wait.For(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("the scrub shows %v records that cannot be read, want 1: %w", found, err)
		}
	}
}

// flipBitOfOne damages an event on a node that does not lead. The doctor and the scrub,
// which read each copy, must name the node. It gets a new copy from the others, and the log
// must be unchanged.
func flipBitOfOne(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, t.Scaled("events", 1000, 300, 100)); err != nil {
		return err
	}
	lost, err := t.beforeTailLost(ctx)
	if err != nil {
		return err
	}
	if err := t.Lab.AwaitWhole(ctx); err != nil {
		return err
	}
	leader, err := t.Lab.AwaitLeader(ctx)
	if err != nil {
		return err
	}
	node := t.Lab.NATS((leader + 1) % t.Lab.Nodes())
	victim := lost.records[len(lost.records)/2]
	if err := t.damageCopy(ctx, node, fmt.Sprintf(`"id":%q`, victim.id)); err != nil {
		return err
	}
	stop := t.Load(50)
	defer stop()
	// For some seconds after its start the node serves a block from memory.
	since := time.Now()
	said, err := t.operate(ctx, 3, nil, "doctor", "--deep")
	for err != nil && time.Since(since) < time.Minute && wait.For(ctx, time.Second) == nil {
		said, err = t.operate(ctx, 3, nil, "doctor", "--deep")
	}
	if err != nil {
		return err
	}
	t.Measure("until the doctor found it", float64(time.Since(since).Milliseconds()), "ms")
	if err := mentions(said, []string{"NOVEL_EVENTS on " + node.Name(), fmt.Sprintf("not readable: %d", victim.sequence)}); err != nil {
		return fmt.Errorf("doctor --deep: %w: %s", err, said)
	}
	if err := t.awaitScrub(ctx); err != nil {
		return err
	}
	since = time.Now()
	if err := t.replaceCopy(ctx, node); err != nil {
		return err
	}
	t.Measure("until the node had a whole copy again", float64(time.Since(since).Milliseconds()), "ms")
	if err := t.awaitHealthy(ctx); err != nil {
		return err
	}
	// Every node, including the repaired one, must have all events.
	if err := t.lead(ctx, node); err != nil {
		return err
	}
	t.Follow(ctx, "afterwards")
	if err := t.Outbox.AwaitMore(ctx, 50); err != nil {
		return err
	}
	stop()
	if after, err := t.epoch(ctx); err != nil || after != lost.epoch {
		return errors.Join(fmt.Errorf("epoch %s became %s", lost.epoch, after), err)
	}
	t.Note("doctor --deep and the scrub name sequence %d on %s, whose folder was replaced from the others' in the same epoch", victim.sequence, node.Name())
	return t.verifyModels(ctx)
}

// damageTries is how often a copy is damaged that the node replaces by itself when it
// starts, because it takes everything from the leader.
const damageTries = 5

// damageCopy flips one bit of a text on the disk of a node, which is stopped meanwhile.
func (t *Trial) damageCopy(ctx context.Context, node *processes.Process, text string) error {
	for range damageTries {
		if err := node.Stop(ctx); err != nil {
			return err
		}
		if err := t.flip(node, text); err != nil {
			return err
		}
		if err := node.Start(ctx); err != nil {
			return err
		}
		if err := t.Lab.AwaitWhole(ctx); err != nil {
			return err
		}
		whole, err := t.inBlocks(node, text)
		if err != nil || !whole {
			return err
		}
	}
	return Skip("%s replaced its damaged copy by itself, %d times", node.Name(), damageTries)
}

// replaceCopy follows the doctor's advice: the node gets a new copy from the others.
func (t *Trial) replaceCopy(ctx context.Context, node *processes.Process) error {
	if err := node.Stop(ctx); err != nil {
		return err
	}
	if err := os.Rename(t.Lab.Folder(node), t.Lab.Folder(node)+"-damaged"); err != nil {
		return err
	}
	if err := node.Start(ctx); err != nil {
		return err
	}
	return t.Lab.AwaitWhole(ctx)
}

// awaitHealthy waits until the doctor finds no failure, because the other streams are
// copied again too.
func (t *Trial) awaitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The output of the last run that was not interrupted.
	last := "nothing: its first run did not end"
	for {
		said, err := t.operate(ctx, 0, nil, "doctor", "--deep")
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil:
			last = failures(said, err)
		}
		if wait.For(ctx, time.Second) != nil {
			return fmt.Errorf("the doctor finds after a minute: %s", last)
		}
	}
}

// failures returns the lines of the doctor that report failures, or the error of a run
// without such lines.
func failures(said string, err error) string {
	var failing []string
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "fail") {
			failing = append(failing, strings.Join(strings.Fields(line), " "))
		}
	}
	if len(failing) == 0 {
		return err.Error()
	}
	return strings.Join(failing, "; ")
}
