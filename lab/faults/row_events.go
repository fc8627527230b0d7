package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// sizeLimit is what row 19 gives the gateway as MAX_EVENT_BYTES.
const sizeLimit = 100_000

func eventRows() []Row {
	return []Row{
		{
			Number: 18, Title: "1 % poison events", InCI: true,
			System: System{Nodes: 1, Jobs: 4}, Run: poison,
		},
		{
			Number: 19, Title: "sizes at limit −1, limit, limit +1", InCI: true,
			System: System{Nodes: 1, Jobs: 1, Env: map[string]string{"MAX_EVENT_BYTES": fmt.Sprint(sizeLimit)}}, Run: sizes,
		},
	}
}

// fence publishes an event with the outbox and waits for its receipt. Everything published
// before for the job has been handled then.
func (t *Trial) fence(ctx context.Context) error {
	if err := t.Outbox.Publish(t.jobs[0], t.system.EventBytes); err != nil {
		return err
	}
	return t.Outbox.AwaitIdle(ctx)
}

// letterPage is how many dead letters are read at once.
const letterPage = 1000

// letters waits until there are want dead letters, and returns them. Further letters would
// be present too, because later good events are stored.
func (t *Trial) letters(ctx context.Context, want int) ([]maintain.Letter, error) {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		all, err := allLetters(ctx, log)
		if err != nil {
			return nil, err
		}
		if len(all) >= want {
			return all, nil
		}
		if err := wait.For(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("%d dead letters, want %d: %w", len(all), want, err)
		}
	}
}

// allLetters reads the dead letters page by page.
func allLetters(ctx context.Context, log *maintain.Log) ([]maintain.Letter, error) {
	var all []maintain.Letter
	for after := uint64(0); ; after = all[len(all)-1].Sequence {
		page, err := log.DeadLetters(ctx, after, letterPage)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
	}
}

// expectLetters fails unless each reason has exactly the wanted number of dead letters.
func (t *Trial) expectLetters(ctx context.Context, want map[messaging.Reason]int) error {
	total := 0
	for _, n := range want {
		total += n
	}
	all, err := t.letters(ctx, total)
	if err != nil {
		return err
	}
	got := map[messaging.Reason]int{}
	for _, letter := range all {
		got[letter.Reason]++
	}
	t.Measure("dead letters", float64(len(all)), "")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("dead letters %v, want %v", got, want)
	}
	return nil
}

// poison mixes one invalid event among each hundred good ones.
func poison(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	rounds := t.Scaled("poison events", 100, 100, 20)
	bodies := []struct {
		reason messaging.Reason
		text   string
	}{
		{messaging.ReasonInvalidJSON, `{"kind":"domain","jobId":"job-0","n":%d`},
		{messaging.ReasonSchemaViolation, `{"kind":"domain","jobId":"job-0","n":%d}`},
		{messaging.ReasonUnsupportedVersion, `{"version":99,"kind":"domain","jobId":"job-0","n":%d}`},
		{messaging.ReasonUnknownKind, `{"kind":"surprise","jobId":"job-0","n":%d}`},
	}
	want := map[messaging.Reason]int{}
	for i := range rounds {
		body := bodies[i%len(bodies)]
		for n := range 99 {
			if err := t.Outbox.Publish(t.jobs[n%len(t.jobs)], t.system.EventBytes); err != nil {
				return err
			}
		}
		text := []byte(fmt.Sprintf(body.text, i))
		for range 2 { // the second adds nothing
			if err := w.send(ctx, text); err != nil {
				return err
			}
		}
		want[body.reason]++
	}
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	t.Note("each poison event was published twice, and has one dead letter")
	return t.expectLetters(ctx, want)
}

// sizes publishes events around the limit and far above it. Redis disconnects a subscriber
// for a message of 32 MB, which row 9 tests.
func sizes(ctx context.Context, t *Trial) error {
	w := t.newHand()
	defer w.close()
	sized := func(id string, size int) ([]byte, error) {
		empty, err := w.event(id, "", time.Time{})
		if err != nil {
			return nil, err
		}
		payload, err := w.event(id, strings.Repeat("x", size-len(empty)), time.Time{})
		if err == nil && len(payload) != size {
			err = fmt.Errorf("the event has %d bytes, want %d", len(payload), size)
		}
		return payload, err
	}
	tooLarge := 0
	for _, size := range []int{sizeLimit - 1, sizeLimit, sizeLimit + 1, sizeLimit - 1, 20 * sizeLimit, 160 * sizeLimit, sizeLimit} {
		id := fmt.Sprint("size-", tooLarge, "-", size)
		payload, err := sized(id, size)
		if err != nil {
			return err
		}
		if size <= sizeLimit {
			// The event must be stored, so it counts as acknowledged.
			t.Journal.Attempted(id, t.jobs[0])
			t.Journal.Acknowledged(id, t.jobs[0], 0)
		} else {
			tooLarge++
		}
		if err := w.send(ctx, payload); err != nil {
			return err
		}
	}
	if err := t.fence(ctx); err != nil {
		return err
	}
	memory, err := metric(ctx, t.Gateways[0], "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	t.Measure("gateway's memory after an event of 16 MB", memory/(1<<20), "MiB")
	if memory > 400<<20 {
		return fmt.Errorf("the gateway has %.0f MiB of memory", memory/(1<<20))
	}
	return t.expectLetters(ctx, map[messaging.Reason]int{messaging.ReasonTooLarge: tooLarge})
}
