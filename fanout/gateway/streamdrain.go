package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/fanout/internal/drain"
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
	drain.Each(ctx, left, period, func(stream *openStream) { stream.end() })
}
