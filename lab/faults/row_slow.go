package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/socket"
)

func slowRows() []Row {
	return []Row{{
		Number: 15, Title: "a client stops reading",
		System: System{Nodes: 1, Jobs: 4, EventBytes: 4_000}, Run: stopReading,
	}}
}

// The counters of row 15.
const (
	fallbacksMetric   = "realtime_fanout_fallbacks_total"
	connectionsMetric = "realtime_fanout_connections"
)

// slowRatio bounds the ratio of the other clients' p99 while one client does not read to that
// while all read.
const slowRatio = 2.0

// slowTrial is a run of row 15.
type slowTrial struct {
	*Trial
	tap     *tap
	stopped *visitor
	others  []*visitor
	took    samples
	// The 99th percentile of each round, while all read and while one does not.
	reading, stalled []time.Duration
}

// stopReading makes one of several clients of the same jobs stop reading in every other
// round, so that other work of the machine affects both kinds of rounds. The client is live
// before: one that stops during its catch-up cannot fall back, and is disconnected after the
// write timeout. In the end it does not read until the gateway disconnects it.
func stopReading(ctx context.Context, t *Trial) error {
	s := &slowTrial{Trial: t, tap: newTap()}
	const others = 8
	for i := range others {
		v := &visitor{name: fmt.Sprint("reading-", i), gateways: t.addresses(0), notes: t.Journal, heard: &s.took}
		v.visit(ctx, t.jobs)
		defer v.close()
		s.others = append(s.others, v)
	}
	s.stopped = &visitor{name: "stopped", gateways: t.addresses(0), notes: t.Journal, dial: socket.Config{NetDial: s.tap.dial}}
	s.stopped.visit(ctx, t.jobs)
	defer s.stopped.close()
	stop := t.Load(200)
	defer stop()
	if err := s.level(ctx); err != nil {
		return err
	}
	rounds := t.Scaled("rounds of each kind", 30, 10, 3)
	for n := range 3 * rounds {
		if n >= rounds && s.ratio() <= slowRatio {
			break // only a machine that is busy with something else needs more
		}
		if err := s.round(ctx); err != nil {
			return err
		}
	}
	if err := s.evict(ctx); err != nil {
		return err
	}
	stop()
	if err := t.awaitVisitors(ctx, append(s.others, s.stopped)); err != nil {
		return err
	}
	t.Measure("p99 of the others while all read", milliseconds(median(s.reading)), "ms")
	t.Measure("p99 of the others while one does not", milliseconds(median(s.stalled)), "ms")
	t.Measure("ratio of the two", s.ratio(), "")
	t.Measure("rounds of each kind", float64(len(s.stalled)), "")
	if s.ratio() > slowRatio {
		return fmt.Errorf("p99 of the others was %v while all read, and %v while one did not", s.reading, s.stalled)
	}
	return nil
}

func (s *slowTrial) ratio() float64 {
	return float64(median(s.stalled)) / float64(median(s.reading))
}

// round measures a window in which all clients read, and one in which the client does not.
// Each subscription of that client must fall back once, and no other one.
func (s *slowTrial) round(ctx context.Context) error {
	reading, fell, err := s.window(ctx, 0)
	if err != nil {
		return err
	}
	if fell != 0 {
		return fmt.Errorf("%v subscriptions fell back while every client read", fell)
	}
	s.tap.shut()
	stalled, fell, err := s.window(ctx, float64(len(s.jobs)))
	s.tap.open()
	if err != nil {
		return err
	}
	if fell != float64(len(s.jobs)) {
		return fmt.Errorf("%v subscriptions fell back, and the client that read nothing has %d", fell, len(s.jobs))
	}
	s.reading, s.stalled = append(s.reading, reading), append(s.stalled, stalled)
	return s.level(ctx)
}

// window measures for some time, and until at least least subscriptions have fallen back. It
// returns the 99th percentile of the other clients, and how many subscriptions have.
func (s *slowTrial) window(ctx context.Context, least float64) (p99 time.Duration, fell float64, err error) {
	const length = 2 * time.Second
	before, err := metric(ctx, s.Gateways[0], fallbacksMetric)
	if err != nil {
		return 0, 0, err
	}
	from := time.Now()
	for fell < least || time.Since(from) < length {
		if err := wait.For(ctx, 250*time.Millisecond); err != nil {
			return 0, 0, fmt.Errorf("%v of %v subscriptions fell back: %w", fell, least, err)
		}
		now, err := metric(ctx, s.Gateways[0], fallbacksMetric)
		if err != nil {
			return 0, 0, err
		}
		fell = now - before
	}
	to := time.Now()
	// Only events that have arrived are in the figures.
	if err := s.arrive(ctx, s.others...); err != nil {
		return 0, 0, err
	}
	return quantile(s.took.between(from, to), 0.99), fell, nil
}

// level waits until the client has caught up with the others, and no subscription has
// fallen back for a second.
func (s *slowTrial) level(ctx context.Context) error {
	for last := -1.0; ; {
		if err := s.arrive(ctx, append(s.others, s.stopped)...); err != nil {
			return err
		}
		now, err := metric(ctx, s.Gateways[0], fallbacksMetric)
		if err != nil {
			return err
		}
		if now == last {
			return nil
		}
		last = now
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
	}
}

// evict makes the client stop reading until the gateway closes its connection, and then
// waits until it has reconnected.
func (s *slowTrial) evict(ctx context.Context) error {
	before, err := metric(ctx, s.Gateways[0], connectionsMetric)
	if err != nil {
		return err
	}
	s.tap.shut()
	defer s.tap.open()
	since := time.Now()
	for {
		now, err := metric(ctx, s.Gateways[0], connectionsMetric)
		if err != nil {
			return err
		}
		if now < before {
			s.Note("a client that read nothing was given up after %s, and came back by cursor", time.Since(since).Round(100*time.Millisecond))
			return nil
		}
		if time.Since(since) > 40*time.Second {
			return fmt.Errorf("a client that reads nothing is still connected after %s", time.Since(since).Round(time.Second))
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
