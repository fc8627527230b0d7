package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/fanout/internal/drain"
	"github.com/letswriteabook/realtime/guardrails"
)

// openStream is an event stream that is open.
type openStream struct {
	sink   *streamSink
	grant  guardrails.Grant
	origin string
	closed atomic.Bool // closeStream was called
}

// closeStream ends a stream. For one that is being closed it does nothing and reports false.
func (g *Gateway) closeStream(stream *openStream, decision guardrails.Decision) bool {
	if !stream.closed.CompareAndSwap(false, true) {
		return false
	}
	g.countClosed(decision, stream.origin)
	stream.sink.end()
	return true
}

// streamedBytes adds up what waits for the clients of all streams.
func (g *Gateway) streamedBytes() (total int) {
	for _, stream := range g.streams.list() {
		total += stream.sink.queuedBytes()
	}
	return total
}

// DrainStreams ends the event streams one by one, in random order and spread over
// the period, so that their clients do not all come back to the other gateways at
// once; they do by themselves, after the last event that they have. It returns when
// it has ended all, or with ctx. The caller lets no new ones in.
func (g *Gateway) DrainStreams(ctx context.Context, period time.Duration) {
	drain.Each(ctx, g.streams.list(), period, func(stream *openStream) { stream.sink.end() })
}
