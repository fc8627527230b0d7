package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

// costOfGateways measures what each of several gateways on one log uses: for an event that no
// client follows, and for a delivery if each gateway has followers of the job. Every gateway
// receives every event from Redis, so that the former is the price of a further gateway.
func costOfGateways(ctx context.Context, s *system) ([]Figure, error) {
	const (
		jobs, each         = 64, 64 // 4,096 events are stored
		followers, events  = 100, 60
		pause, followedJob = 50 * time.Millisecond, jobPrefix + "followed"
	)
	gateways := float64(len(s.gateways))
	if err := wait.For(ctx, settled); err != nil {
		return nil, err
	}
	before, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.store(ctx, jobsOf(jobs), each, jobs); err != nil {
		return nil, err
	}
	stored, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	delivered, err := s.deliver(ctx, followedJob, followers*len(s.gateways), func(job string) error {
		return s.publishPaced(ctx, job, events, pause)
	}, events, nil)
	if err != nil {
		return nil, err
	}
	loaded, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	figures := []Figure{
		{Name: "CPU of each gateway", Value: (stored.CPUSeconds - before.CPUSeconds) / gateways / (jobs * each) * 1e6, Unit: "µs an event that nobody follows"},
	}
	for _, f := range delivered {
		f.Name += fmt.Sprintf(", %d followers of each gateway", followers)
		figures = append(figures, f)
	}
	return append(figures,
		Figure{Name: "memory of each gateway at first", Value: before.MemoryBytes / gateways / 1e6, Unit: "MB"},
		Figure{Name: "memory of each gateway at last", Value: loaded.MemoryBytes / gateways / 1e6, Unit: "MB"},
	), nil
}
