package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

func repeatRows() []Row {
	return []Row{
		{
			Number: 21, Title: "duplicates, and one id with another body", InCI: true,
			System: System{Nodes: 1, Jobs: 1}, Run: duplicates,
		},
		{
			Number: 21, Variant: "late", Title: "duplicates, and one id with another body, after the dedup window of 1 s", InCI: true,
			System: System{Nodes: 1, Jobs: 1, Env: map[string]string{"STREAM_DEDUP_WINDOW": "1s"}}, Run: lateDuplicates,
		},
	}
}

// duplicates publishes events again while the log remembers their ids, and one id
// with another body.
func duplicates(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	const events = 50
	now := time.Now()
	for i := range events {
		payload, err := w.event(fmt.Sprint("again-", i), "", now)
		if err != nil {
			return err
		}
		t.Journal.Attempted(fmt.Sprint("again-", i), t.jobs[0])
		for range 3 {
			if err := w.send(ctx, payload); err != nil {
				return err
			}
		}
	}
	if err := t.fence(ctx); err != nil {
		return err
	}
	other, err := w.event("again-0", "another body", now)
	if err != nil {
		return err
	}
	for range 2 {
		if err := w.send(ctx, other); err != nil {
			return err
		}
	}
	if err := t.fence(ctx); err != nil {
		return err
	}
	t.Note("%d events were published three times each; then the id of the first came twice with another body", events)
	return t.expectLetters(ctx, map[messaging.Reason]int{messaging.ReasonIDConflict: 1})
}

// lateDuplicates publishes events again when the server no longer remembers their ids, and
// then once more after a restart of the gateway.
func lateDuplicates(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	events, first, err := w.publishNew(ctx, "late", 50)
	if err != nil {
		return err
	}
	again := func(when string) error {
		if err := w.expectRepeats(ctx, events, first); err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		return t.ExpectMetric(ctx, "realtime_eventstore_late_repeats_total", float64(len(first)))
	}
	if err := wait.For(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := again("after the window"); err != nil {
		return err
	}
	other, err := w.event(events.order[0], "another body", time.Time{})
	if err != nil {
		return err
	}
	if err := w.send(ctx, other); err != nil {
		return err
	}
	if err := t.expectLetters(ctx, map[messaging.Reason]int{messaging.ReasonIDConflict: 1}); err != nil {
		return err
	}
	t.Gateways[0].Kill()
	if err := t.Gateways[0].Start(ctx); err != nil {
		return err
	}
	if err := again("after a new start of the gateway"); err != nil {
		return err
	}
	t.Note("%d events were published again 3 s later, twice, the second time to a gateway that had just been started", len(first))
	return nil
}
