package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

func seamRows() []Row {
	return []Row{{
		Number: 26, Title: "subscribe while events flow, 10,000 rounds",
		System: System{Nodes: 1, Env: map[string]string{"SOCKET_RECOVERY_TTL": "0s"}}, Run: crossSeams,
	}}
}

// round is what one subscription received: the events after since, up to its
// unsubscribe.
type round struct {
	job   string
	since uint64
	got   []uint64
}

// crossSeams makes sockets repeatedly subscribe, receive history and then live events, and
// unsubscribe, under load. Afterwards it compares each round with the log.
func crossSeams(ctx context.Context, t *Trial) error {
	const sockets = 24
	rounds := t.Scaled("rounds", 10_000, 10_000, 1_000)
	stop := t.Load(600)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 300); err != nil {
		return err
	}
	var taken atomic.Int64
	crossed := make([][]round, sockets)
	group, crossing := errgroup.WithContext(ctx)
	for i := range sockets {
		group.Go(func() error {
			conn, err := socket.Dial(crossing, socket.Config{Endpoint: "http://" + t.Gateways[0].Addr() + "/ws"})
			if err != nil {
				return err
			}
			defer conn.Close()
			job := t.jobs[i%len(t.jobs)]
			for since := uint64(0); taken.Add(1) <= int64(rounds); {
				r, err := cross(crossing, conn, job, since)
				if err != nil {
					return fmt.Errorf("a round of %s after %d: %w", job, since, err)
				}
				crossed[i] = append(crossed[i], r)
				// The next round begins a few events earlier, so that it has history.
				since = r.got[max(0, len(r.got)-5)]
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	stop()
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	return t.compareRounds(ctx, slices.Concat(crossed...))
}

// cross subscribes, waits for the end of the history and a live event, and unsubscribes.
func cross(ctx context.Context, conn *socket.Socket, job string, since uint64) (round, error) {
	r := round{job: job, since: since}
	if err := conn.Emit(messaging.EventSubscribe, map[string]any{"jobId": job, "since": since}); err != nil {
		return r, err
	}
	seam, left := false, false
	for {
		event, err := conn.Next(ctx)
		if err != nil {
			return r, err
		}
		switch event.Name {
		case messaging.EventSubscribed:
		case messaging.EventCaughtUp:
			seam = true
		case messaging.EventUnsubscribed:
			return r, nil
		case messaging.EventGap, messaging.EventError:
			args, _ := event.Args() // an error shows an empty text
			return r, fmt.Errorf("got %s %s", event.Name, args)
		default:
			var d delivery
			if err := event.Decode(&d); err != nil {
				return r, err
			}
			r.got = append(r.got, d.Sequence)
			if seam && !left {
				left = true
				if err := conn.Emit(messaging.EventUnsubscribe, map[string]any{"jobId": job}); err != nil {
					return r, err
				}
			}
		}
	}
}

// compareRounds fails if a round has other events than the log between its first and its last
// position.
func (t *Trial) compareRounds(ctx context.Context, rounds []round) error {
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return err
	}
	defer done()
	stored := map[string][]uint64{}
	_, err = t.readLog(ctx, log, func(_, job string, sequence uint64) { stored[job] = append(stored[job], sequence) })
	if err != nil {
		return err
	}
	events, wrong := 0, 0
	for _, r := range rounds {
		all := stored[r.job]
		from, has := slices.BinarySearch(all, r.since)
		if has {
			from++
		}
		events += len(r.got)
		to := min(from+len(r.got), len(all))
		if !slices.Equal(r.got, all[from:to]) {
			if wrong++; wrong <= 3 {
				t.Note("after %d of %s came %v, and the log has %v", r.since, r.job, r.got, all[from:to])
			}
		}
	}
	t.Measure("rounds", float64(len(rounds)), "")
	t.Measure("events over the seams", float64(events), "")
	if wrong > 0 {
		return errors.New(fmt.Sprint(wrong, " rounds had a gap or a repeat"))
	}
	return nil
}
