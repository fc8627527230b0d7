package drills

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

func poisonFlood() Drill {
	return Drill{
		Name: "poison-flood",
		Does: "Events that cannot be accepted are published in masses among good ones. Each is kept once as a dead letter with its reason, " +
			"the good ones flow on, and the letters are removed in the end.",
		Limit:  10 * time.Second,
		System: faults.System{Nodes: 1, Gateways: 2},
		run:    runPoisonFlood,
		touches: byItself(func(_ Running, scale Scale) ([]string, error) {
			return []string{fmt.Sprintf("publish %d events that cannot be accepted, %d a second: they count as refused, and alerts on that fire; "+
				"their dead letters are removed in the end", scale.events(usualPoison), poisonRate)}, nil
		}),
	}
}

// poison is an event that cannot be accepted, for a job, with the marker of the drill and a
// number.
type poison struct {
	reason messaging.Reason
	text   string
}

var poisons = []poison{
	{messaging.ReasonInvalidJSON, `{"kind":"domain","jobId":%q,"marker":%q,"n":%d`},
	{messaging.ReasonSchemaViolation, `{"kind":"domain","jobId":%q,"marker":%q,"n":%d}`},
	{messaging.ReasonUnsupportedVersion, `{"version":99,"kind":"domain","jobId":%q,"marker":%q,"n":%d}`},
	{messaging.ReasonUnknownKind, `{"kind":"surprise","jobId":%q,"marker":%q,"n":%d}`},
}

// poisonRate is the most poison events sent in a second, several times the rate of good
// events. usualPoison is their total number.
const (
	poisonRate  = 500
	usualPoison = 1000
)

func runPoisonFlood(ctx context.Context, t *faults.Trial, options Options) error {
	stop, err := traffic(ctx, t)
	if err != nil {
		return err
	}
	defer stop()
	raw := t.Raw()
	defer raw.Close()
	marker := fmt.Sprintf("drill-%d", time.Now().UnixNano())
	want := map[messaging.Reason]int{}
	remove := t.Undo("the dead letters of the drill", func(ctx context.Context) error { return removeLetters(ctx, t, marker) })
	over := t.Fault("poison is published")
	pace := time.NewTicker(time.Second / poisonRate)
	defer pace.Stop()
	count := options.Scale.events(usualPoison)
	for n := range count {
		p := poisons[n%len(poisons)]
		if err := raw.Send(ctx, fmt.Appendf(nil, p.text, t.Jobs()[n%len(t.Jobs())], marker, n)); err != nil {
			return err
		}
		want[p.reason]++
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	over()
	since := time.Now()
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := awaitLetters(ctx, log, marker, count)
	if err != nil {
		return err
	}
	recovered(t, "every letter is written", since)
	if !maps.Equal(found.reasons, want) {
		return fmt.Errorf("dead letters %v, want %v", found.reasons, want)
	}
	for _, reason := range slices.Sorted(maps.Keys(want)) {
		t.Measure("dead letters, "+string(reason), float64(want[reason]), "")
	}
	if err := t.Outbox.AwaitMore(ctx, some(t)); err != nil {
		return err
	}
	stop()
	if err := remove(ctx); err != nil {
		return err
	}
	t.Note("the %d letters of the drill were removed again", found.count)
	return nil
}

// removeLetters removes the dead letters with the marker.
func removeLetters(ctx context.Context, t *faults.Trial, marker string) error {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	return deadletters.Each(ctx, log, deadletters.Filter{}, func(letter maintain.Letter) error {
		if !bytes.Contains(letter.Body, []byte(marker)) {
			return nil
		}
		return log.RemoveDeadLetter(ctx, letter.Sequence)
	})
}

// letters are the dead letters of one drill.
type letters struct {
	reasons map[messaging.Reason]int
	count   int
}

// awaitLetters waits until there are count letters with the marker, and then as long again
// to verify that there are no more.
func awaitLetters(ctx context.Context, log *maintain.Log, marker string, count int) (letters, error) {
	previous := -1
	for {
		found := letters{reasons: map[messaging.Reason]int{}}
		err := deadletters.Each(ctx, log, deadletters.Filter{}, func(letter maintain.Letter) error {
			if bytes.Contains(letter.Body, []byte(marker)) {
				found.reasons[letter.Reason]++
				found.count++
			}
			return nil
		})
		if err != nil {
			return found, err
		}
		if n := found.count; n > count || n == count && n == previous {
			return found, nil
		} else {
			previous = n
		}
		if err := wait.For(ctx, 500*time.Millisecond); err != nil {
			return found, fmt.Errorf("%d dead letters, want %d: %w", found.count, count, err)
		}
	}
}
