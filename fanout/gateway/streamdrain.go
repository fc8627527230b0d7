package gateway

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/fanout/internal/drain"
	"github.com/letswriteabook/realtime/guardrails"
)

// streams are the event streams that are open. The zero value has none.
type streams struct {
	mu   sync.Mutex // guards open
	open map[*openStream]struct{}
}

// openStream is one of them; end ends it.
type openStream struct {
	end   context.CancelFunc
	sink  *streamSink
	grant guardrails.Grant
}

// enter notes a stream, until leave is called.
func (s *streams) enter(end context.CancelFunc, sink *streamSink, grant guardrails.Grant) (leave func()) {
	entered := &openStream{end: end, sink: sink, grant: grant}
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

// list returns the streams that are open.
func (s *streams) list() []*openStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

// queuedBytes adds up what waits for the clients of all streams.
func (s *streams) queuedBytes() (total int) {
	for _, stream := range s.list() {
		total += stream.sink.queuedBytes()
	}
	return total
}

// DrainStreams ends the event streams one by one, in random order and spread over
// the period, so that their clients do not all come back to the other gateways at
// once; they do by themselves, after the last event that they have. It returns when
// it has ended all, or with ctx. The caller lets no new ones in.
func (g *Gateway) DrainStreams(ctx context.Context, period time.Duration) {
	drain.Each(ctx, g.streams.list(), period, func(stream *openStream) { stream.end() })
}
