package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/internal/drain"
	"github.com/letswriteabook/realtime/guardrails"
)

// openStream is an open event stream.
type openStream struct {
	id           string // random: operators name the stream by it
	jobID        string
	sink         *streamSink
	grant        guardrails.Grant
	origin       string // as it is counted: a listed one, or "unknown"
	page         string // the header Origin, empty without one
	address      netip.Addr
	openedAt     time.Time
	closed       atomic.Bool                      // closeStream was called
	subscription atomic.Pointer[hub.Subscription] // nil before it is there
}

// openStream returns the stream that a request opens.
func (g *Gateway) openStream(r *http.Request, jobID string, sink *streamSink, grant guardrails.Grant, origin string) *openStream {
	stream := &openStream{
		id: rand.Text(), jobID: jobID, sink: sink, grant: grant, origin: origin, page: r.Header.Get("Origin"), address: g.address(r), openedAt: time.Now(),
	}
	sink.trail = g.policy.Recorder.Begin(stream.id)
	return stream
}

// closeStream ends a stream. If the stream is being closed, it does nothing and returns
// false.
func (g *Gateway) closeStream(stream *openStream, decision guardrails.Decision) bool {
	if !stream.closed.CompareAndSwap(false, true) {
		return false
	}
	g.countClosed(decision, stream.origin)
	stream.finish(string(decision.Code))
	stream.sink.end()
	return true
}

// streamedBytes returns the bytes that wait for the clients of all streams.
func (g *Gateway) streamedBytes() (total int) {
	for _, stream := range g.streams.list() {
		_, bytes := stream.sink.queued()
		total += bytes
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
