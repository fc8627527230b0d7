package bench

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/messaging"
)

// Rows that show how memory and start-up time grow. They take minutes and run only if they
// are named.

// manyJobs stores one event for each of count jobs, and restarts the gateway.
func manyJobs(count int) func(ctx context.Context, s *system) ([]Figure, error) {
	return func(ctx context.Context, s *system) ([]Figure, error) {
		before, err := s.used(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.storeOneEach(ctx, count); err != nil {
			return nil, err
		}
		if err := wait.For(ctx, settled); err != nil {
			return nil, err
		}
		stored, err := s.used(ctx)
		if err != nil {
			return nil, err
		}
		gateway := s.gateways[0]
		if err := gateway.Stop(ctx); err != nil {
			return nil, err
		}
		disk, err := size(s.lab.Folder(gateway))
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := gateway.Start(ctx); err != nil {
			return nil, err
		}
		ready := time.Since(began)
		if err := wait.For(ctx, settled); err != nil {
			return nil, err
		}
		again, err := s.used(ctx)
		if err != nil {
			return nil, err
		}
		return []Figure{
			{Name: "memory before", Value: before.MemoryBytes / 1e6, Unit: "MB"},
			{Name: "memory with the jobs", Value: stored.MemoryBytes / 1e6, Unit: "MB"},
			{Name: "disk", Value: float64(disk) / 1e6, Unit: "MB"},
			{Name: "ready after", Value: measure.Ms(ready), Unit: "ms"},
			{Name: "memory after the start", Value: again.MemoryBytes / 1e6, Unit: "MB"},
		}, nil
	}
}

// settled is the pause between a load and the measurement of the gateway's memory.
const settled = 5 * time.Second

// storeOneEach stores one event for each of count jobs. It limits the events in flight to
// what Redis buffers for a subscriber.
func (s *system) storeOneEach(ctx context.Context, count int) error {
	const piece = 20_000
	_, err := s.store(ctx, jobsOf(count), 1, piece)
	return err
}

// size returns the total size of the files below a folder, in bytes.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// followedJobs has 5,000 sockets follow 20 jobs each, 100,000 in all.
func followedJobs(ctx context.Context, s *system) ([]Figure, error) {
	const sockets, each = 5000, 20
	c, err := s.connect(ctx, sockets, jobsOf(sockets), nil)
	defer c.close()
	if err != nil {
		return nil, err
	}
	if err := wait.For(ctx, settled); err != nil {
		return nil, err
	}
	one, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	jobs := jobsOf(sockets * each)
	for n := 1; n < each; n++ {
		for i, socket := range c.sockets {
			if err := socket.Emit(messaging.EventSubscribe, map[string]any{"jobId": jobs[n*sockets+i]}); err != nil {
				return nil, err
			}
		}
		if err := await(ctx, &c.subscribed, int64(sockets*(n+1))); err != nil {
			return nil, err
		}
	}
	if err := wait.For(ctx, settled); err != nil {
		return nil, err
	}
	all, err := s.used(ctx)
	if err != nil {
		return nil, err
	}
	return []Figure{
		{Name: "memory", Value: (all.MemoryBytes - one.MemoryBytes) / (sockets * (each - 1)) / 1000, Unit: "kB a followed job"},
		{Name: "memory of 100,000 jobs and 5,000 sockets", Value: all.MemoryBytes / 1e6, Unit: "MB"},
	}, nil
}
