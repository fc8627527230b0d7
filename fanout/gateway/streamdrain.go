package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/fanout/internal/drain"
	"github.com/letswriteabook/realtime/guardrails"
)

// openStream is an open event stream.
type openStream struct {
	sink   *streamSink
	grant  guardrails.Grant
	origin string
	closed atomic.Bool // closeStream was called
}

// closeStream ends a stream. If the stream is being closed, it does nothing and returns
// false.
func (g *Gateway) closeStream(stream *openStream, decision guardrails.Decision) bool {
	if !stream.closed.CompareAndSwap(false, true) {
		return false
	}
	g.countClosed(decision, stream.origin)
	stream.sink.end()
	return true
}

// streamedBytes returns the bytes that wait for the clients of all streams.
func (g *Gateway) streamedBytes() (total int) {
	for _, stream := range g.streams.list() {
		total += stream.sink.queuedBytes()
	}
	return total
}

// DrainStreams ends the event streams one by one, in random order and spread over the
// period, so that their clients do not all reconnect to the other gateways at once; they
// reconnect automatically after the last event that they have. It returns when all have
// ended, or with ctx. The caller prevents new streams.
func (g *Gateway) DrainStreams(ctx context.Context, period time.Duration) {
	drain.Each(ctx, g.streams.list(), period, func(stream *openStream) { stream.sink.end() })
}
