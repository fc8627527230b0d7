package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
)

func purgeRows() []Row {
	return []Row{{
		Number: 25, Title: "log purged, then the same ids again inside the dedup window", Limit: 30 * time.Second, InCI: true,
		System: System{Nodes: 1, Jobs: 4}, Run: replayAfterPurge,
	}}
}

// replayAfterPurge publishes events, purges the log, and publishes the same bytes again
// while the server still remembers their ids. Each event must be stored again, with a
// receipt for its new sequence. A third publishing must only give duplicates.
func replayAfterPurge(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	events, err := w.newBatch("again", 200)
	if err != nil {
		return err
	}
	began := time.Now()
	first, err := w.publishAll(ctx, events)
	if err != nil {
		return err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return err
	}
	last, err := t.purge(ctx)
	if err != nil {
		return err
	}
	since := time.Now()
	second, err := w.publishAll(ctx, events)
	if err != nil {
		return fmt.Errorf("after the purge: %w", err)
	}
	t.Recovered(time.Since(since))
	if err := w.expectRepeats(ctx, events, second); err != nil {
		return err
	}
	if took := time.Since(began); took > purgeWindow {
		return Skip("the window of ids was over when everything had been published again, after %s", took.Round(time.Second))
	}
	for _, id := range events.order {
		t.Journal.Acknowledged(id, first[id].JobID, first[id].Sequence)
		t.Journal.Acknowledged(id, second[id].JobID, second[id].Sequence)
		if second[id].Duplicate || second[id].Sequence <= last {
			return fmt.Errorf("%s was swallowed after the purge of everything up to %d: %+v", id, last, second[id])
		}
	}
	t.Measure("events stored again", float64(len(second)), "")
	// A running gateway still serves purged events from memory. A restarted one must
	// report a gap to clients that ask for them.
	t.Gateways[0].Kill()
	if err := t.Gateways[0].Start(ctx); err != nil {
		return err
	}
	t.Note("the receipts of the replay name new sequences, and those of a third publishing are duplicates of them")
	return nil
}

// purgeWindow is how long the server remembers the ids of row 25 at least.
const purgeWindow = 90 * time.Second

// purge removes all records of the log, as nats stream purge does, and records that in the
// journal. It returns the last sequence that was removed. Clients that ask for an earlier
// one must receive a gap.
func (t *Trial) purge(ctx context.Context) (last uint64, err error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	heads, err := t.readLog(ctx, log, t.Journal.Purged)
	if err != nil {
		return 0, err
	}
	for _, head := range heads {
		last = max(last, head)
	}
	conn, err := eventstore.Connect(ctx, t.Lab.NATSURL(), eventstore.ConnConfig{Name: "operator"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answer, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.PURGE.NOVEL_EVENTS", nil)
	if err != nil {
		return 0, fmt.Errorf("purge the log: %w", err)
	}
	var purged struct {
		Success bool   `json:"success"`
		Purged  uint64 `json:"purged"`
	}
	if err := json.Unmarshal(answer.Data, &purged); err != nil || !purged.Success {
		return 0, fmt.Errorf("purge the log: %s: %w", answer.Data, err)
	}
	t.Measure("records purged", float64(purged.Purged), "")
	t.purged = true
	return last, nil
}
