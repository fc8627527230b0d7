package fanout

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// streams are the event streams that are open. The zero value has none.
type streams struct {
	mu   sync.Mutex // guards open
	open map[*openStream]struct{}
}

// openStream is one of them; end ends it.
type openStream struct{ end context.CancelFunc }

// enter notes a stream, until leave is called.
func (s *streams) enter(end context.CancelFunc) (leave func()) {
	entered := &openStream{end: end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*openStream]struct{})
	}
	s.open[entered] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, entered)
	}
}

// DrainStreams ends the event streams one by one, in random order and spread over
// the period, so that their clients do not all come back to the other gateways at
// once; they do by themselves, after the last event that they have. It returns when
// it has ended all, or with ctx. The caller lets no new ones in.
func (g *Gateway) DrainStreams(ctx context.Context, period time.Duration) {
	g.streams.mu.Lock()
	left := make([]*openStream, 0, len(g.streams.open))
	for stream := range g.streams.open {
		left = append(left, stream)
	}
	g.streams.mu.Unlock()
	if len(left) == 0 {
		return
	}
	rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	began, pause := time.Now(), period/time.Duration(len(left))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, stream := range left {
		// Against the begin, so that the pauses do not add up to more.
		timer.Reset(time.Until(began.Add(time.Duration(i) * pause)))
		select {
		case <-timer.C:
			stream.end()
		case <-ctx.Done():
			return
		}
	}
}
