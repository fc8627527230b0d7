package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/measure"
)

// jobsOf returns the names of so many jobs.
func jobsOf(count int) (jobs []string) {
	for i := range count {
		jobs = append(jobs, fmt.Sprintf("%s%d", jobPrefix, i))
	}
	return jobs
}

// toLog publishes to a number of jobs as fast as Redis accepts events, and waits for the
// receipt of each.
func toLog(jobs int) func(ctx context.Context, s *system) ([]Figure, error) {
	return func(ctx context.Context, s *system) ([]Figure, error) {
		const events = 20_480 // a multiple of the jobs
		syncs, err := plainSyncs(s.lab.Dir())
		if err != nil {
			return nil, err
		}
		before, err := s.used(ctx)
		if err != nil {
			return nil, err
		}
		took, err := s.store(ctx, jobsOf(jobs), events/jobs, jobs)
		if err != nil {
			return nil, err
		}
		after, err := s.used(ctx)
		if err != nil {
			return nil, err
		}
		rate := events / took.Seconds()
		return []Figure{
			{Name: "stored", Value: rate, Unit: "events/s", Beside: fmt.Sprintf("%.0f plain writes with a sync a second", syncs), Ratio: rate / syncs},
			{Name: "CPU", Value: (after.CPUSeconds - before.CPUSeconds) / events * 1e6, Unit: "µs an event"},
		}, nil
	}
}

// plainSyncs returns how many small appends with a sync this disk completes in a second.
func plainSyncs(dir string) (perSecond float64, err error) {
	file, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	body, count, began := make([]byte, eventBytes), 0, time.Now()
	for time.Since(began) < time.Second {
		if _, err := file.Write(body); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(began).Seconds(), nil
}

// throughRedis sends 50 events, 2 ms apart, to 200 sockets.
func throughRedis(ctx context.Context, s *system) ([]Figure, error) {
	const sockets, events = 200, 50
	return s.deliver(ctx, jobsOf(1)[0], sockets, func(job string) error { return s.publishPaced(ctx, job, events, 2*time.Millisecond) }, events, nil)
}

// paced sends 20 events a second for 5 s to 1,000 sockets.
func paced(ctx context.Context, s *system) ([]Figure, error) {
	const sockets, events = 1000, 100
	bare, err := bareLoop(sockets, events, 50*time.Millisecond)
	if err != nil {
		return nil, err
	}
	return s.deliver(ctx, jobsOf(1)[0], sockets, func(job string) error { return s.publishPaced(ctx, job, events, 50*time.Millisecond) }, events, bare)
}

// burst sends 100 events at once to 1,000 sockets.
func burst(ctx context.Context, s *system) ([]Figure, error) {
	const sockets, events = 1000, 100
	bare, err := bareLoop(sockets, events, 0)
	if err != nil {
		return nil, err
	}
	return s.deliver(ctx, jobsOf(1)[0], sockets, func(job string) error { return s.publishAll(ctx, []string{job}, 0, events) }, events, bare)
}

// deliver publishes to one job that every socket follows.
func (s *system) deliver(ctx context.Context, job string, sockets int, publish func(job string) error, events int, bare *loop) ([]Figure, error) {
	c, err := s.connect(ctx, sockets, []string{job}, nil)
	defer c.close()
	if err != nil {
		return nil, err
	}
	if err := wait.For(ctx, time.Second); err != nil { // let the work of connecting end
		return nil, err
	}
	before, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := publish(job); err != nil {
		return nil, err
	}
	deliveries := sockets * events
	if err := await(ctx, &c.received, int64(deliveries)); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	took := time.Since(began)
	after, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	latency := c.latency.Distribution()
	cpu := Figure{Name: "CPU", Value: (after.CPUSeconds - before.CPUSeconds) / float64(deliveries) * 1e6, Unit: "µs a delivery"}
	rate := Figure{Name: "delivered", Value: float64(deliveries) / took.Seconds(), Unit: "a second"}
	if bare != nil {
		cpu.Beside, cpu.Ratio = fmt.Sprintf("%.1f µs in a bare loop of writes", bare.cpu), cpu.Value/bare.cpu
		rate.Beside, rate.Ratio = fmt.Sprintf("%.0f in a bare loop of writes", bare.rate), rate.Value/bare.rate
	}
	return []Figure{
		rate, cpu,
		{Name: "p50", Value: latency.P50, Unit: "ms"},
		{Name: "p95", Value: latency.P95, Unit: "ms"},
		{Name: "p99", Value: latency.P99, Unit: "ms"},
	}, nil
}

// idle holds 5,000 sockets, each subscribed to one of 500 jobs. It measures from when the
// gateway has collected the garbage of the connects, for one period of the heartbeat.
func idle(ctx context.Context, s *system) ([]Figure, error) {
	const sockets, jobs, settle, span = 5000, 500, 20 * time.Second, 25 * time.Second
	before, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(ctx, sockets, jobsOf(jobs), nil)
	defer c.close()
	if err != nil {
		return nil, err
	}
	if err := wait.For(ctx, settle); err != nil {
		return nil, err
	}
	held, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	if err := wait.For(ctx, span); err != nil {
		return nil, err
	}
	after, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	return []Figure{
		{Name: "memory", Value: (held.MemoryBytes - before.MemoryBytes) / sockets / 1000, Unit: "kB a socket"},
		{Name: "CPU", Value: (after.CPUSeconds - held.CPUSeconds) / span.Seconds() * 1000, Unit: "ms a second"},
	}, nil
}

// missed is the number of events that a returning client has missed.
const missed = 120

// stored publishes the missed events of a job, and waits until they are stored.
func (s *system) stored(ctx context.Context, job string) error {
	if s.peer != nil {
		return s.publishAll(ctx, []string{job}, 0, missed)
	}
	_, err := s.store(ctx, []string{job}, missed, 1)
	return err
}

// fromStart returns the cursor that requests every event of a job.
func fromStart(string) any { return 0 }

// storm connects 400 sockets that have missed 120 events each.
func storm(ctx context.Context, s *system) ([]Figure, error) {
	const sockets = 400
	job := jobsOf(1)[0]
	if err := s.stored(ctx, job); err != nil {
		return nil, err
	}
	began := time.Now()
	c, err := s.connect(ctx, sockets, []string{job}, fromStart)
	defer c.close()
	if err == nil {
		err = await(ctx, &c.received, sockets*missed)
	}
	if err != nil {
		return nil, err
	}
	return []Figure{{Name: "all have all", Value: measure.Ms(time.Since(began)), Unit: "ms"}}, nil
}

// freshClient connects one client that receives 120 events: from the log and, with another
// client of the job connected, from memory.
func freshClient(ctx context.Context, s *system) ([]Figure, error) {
	job := jobsOf(1)[0]
	if err := s.stored(ctx, job); err != nil {
		return nil, err
	}
	var figures []Figure
	for _, from := range []string{"from the log", "from memory"} {
		began := time.Now()
		c, err := s.connect(ctx, 1, []string{job}, fromStart)
		defer c.close()
		if err == nil {
			err = await(ctx, &c.received, missed)
		}
		if err != nil {
			return nil, err
		}
		figures = append(figures, Figure{Name: from, Value: measure.Ms(time.Since(began)), Unit: "ms"})
	}
	return figures, nil
}
