package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// Server-Sent Events: a stream has the events of one job, and a cursor as a socket has.

const (
	// streamQueueBytes bounds the queue of a stream. At the bound the subscription changes
	// to reading.
	streamQueueBytes = 256 << 10
	// streamHeartbeat is the interval of the comments on a silent stream, with which proxies
	// keep it open and a disconnected client is detected.
	streamHeartbeat = 15 * time.Second
	// streamWriteTimeout closes a stream whose client accepts nothing.
	streamWriteTimeout = 10 * time.Second
	// streamChunkBytes is the most that is written within one streamWriteTimeout, so that a
	// client that reads slowly is not closed.
	streamChunkBytes = 16 << 10
)

// streamSink is the outgoing queue of one event stream.
type streamSink struct {
	delivered prometheus.Counter
	trail     *recorder.Trail // nil where nothing is recorded
	traces    bool            // the client asks for trace contexts
	end       func()
	ended     <-chan struct{}
	waiting   chan struct{} // signalled when the queue is no longer empty
	drained   chan struct{} // signalled when a refused offer may be tried again

	mu      sync.Mutex // guards the three below
	queue   [][]byte
	bytes   int
	refused bool
}

func newStreamSink(ended <-chan struct{}, delivered prometheus.Counter) *streamSink {
	return &streamSink{ended: ended, delivered: delivered, waiting: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
}

func (s *streamSink) Offer(ev *hub.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	forms := formsOf(ev)
	if s.traces {
		forms = forms.withTrace()
	}
	block := forms.streamed()
	if s.bytes > 0 && s.bytes+len(block) > streamQueueBytes {
		s.refused = true
		s.trail.Full(ev.JobID, ev.Epoch, ev.Sequence)
		return false
	}
	s.push(block)
	s.trail.Sent(ev.JobID, ev.Epoch, ev.Sequence)
	s.delivered.Inc()
	return true
}

func (s *streamSink) Send(name string, payload any) {
	encoded, err := json.Marshal(payload)
	if err != nil {
		return // control payloads are this package's own, and always encode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	noteSent(s.trail, name, payload)
	s.push(streamBlock(name, messaging.Position{}, encoded))
}

// push appends a block to the queue. The caller holds mu.
func (s *streamSink) push(block []byte) {
	s.queue = append(s.queue, block)
	s.bytes += len(block)
	signal(s.waiting)
}

// queued returns how many blocks wait, and their bytes.
func (s *streamSink) queued() (blocks, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue), s.bytes
}

// take returns the blocks of the queue, and empties it.
func (s *streamSink) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := s.queue
	s.queue, s.bytes = nil, 0
	if s.refused {
		s.refused = false
		signal(s.drained)
	}
	return blocks
}

// Reach implements hub.Sink. It does nothing: the client of a stream keeps its own position.
func (s *streamSink) Reach(string, string, uint64) {}

// SendPosition implements hub.Sink. The block has the id of the event that the client does not
// receive.
func (s *streamSink) SendPosition(epoch string, at messaging.CaughtUp) {
	encoded, err := json.Marshal(at)
	if err != nil {
		return // as in Send
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	noteSent(s.trail, messaging.EventCaughtUp, at)
	s.push(streamBlock(messaging.EventCaughtUp, messaging.Position{Epoch: epoch, Sequence: at.To}, encoded))
}

func (s *streamSink) Abort()                { s.end() }
func (s *streamSink) Room() <-chan struct{} { return s.drained }
func (s *streamSink) Done() <-chan struct{} { return s.ended }

// signal wakes the goroutine that waits on a channel of capacity one.
func signal(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}

// ServeStream answers GET /api/realtime/jobs/{jobId}/stream, and
// /api/realtime/stream?jobId=, with the job's events as text/event-stream. The stream begins
// after Last-Event-ID or the query parameter since, or, without both, with the newest events,
// and continues live. It ends when the client's token expires or is revoked, when the stream
// is idle for too long, or in a drain.
// With the query parameter traces, events have their trace contexts.
func (g *Gateway) ServeStream(w http.ResponseWriter, r *http.Request) {
	jobID, grant, ok := g.jobRequest(w, r, refuseStream)
	if !ok {
		return
	}
	from, ok := g.streamStart(w, r)
	if !ok {
		return
	}
	if r.Method == http.MethodHead {
		setStreamHeaders(w.Header())
		return
	}
	slot, decision := g.admit(r, grant, nil)
	if !decision.Allowed() {
		refuseStream(w, r, decision, "")
		return
	}
	defer slot.Release()
	ctx, end := context.WithCancel(r.Context())
	defer end()
	r = r.WithContext(ctx)
	sink := newStreamSink(r.Context().Done(), g.delivered.WithLabelValues("sse"))
	sink.end, sink.traces = end, queryWantsTraces(r.URL)
	stream := g.openStream(r, jobID, sink, grant, slot.Origin())
	g.streams.add(stream)
	defer g.streams.remove(stream)
	defer stream.finish(reasonStreamEnded)
	if g.revoked(grant) { // since the grant was checked
		refused := guardrails.Decision{Code: messaging.CodeTokenInvalid}
		if stream.closed.CompareAndSwap(false, true) { // otherwise CloseRevoked has counted it
			g.count(refused, stream.origin)
		}
		refuseStream(w, r, refused, jobID)
		return
	}
	if _, endIn := grant.Expiry(time.Now()); endIn != guardrails.Never {
		expiry := time.AfterFunc(endIn, func() {
			defer g.hub.Guard().Recover("stream timer", end)
			g.closeStream(stream, guardrails.Decision{Code: messaging.CodeTokenExpired})
		})
		defer expiry.Stop()
	}
	sub, err := hub.NewReader(g.hub, sink, slot.Owner()).Subscribe(jobID, from)
	if err != nil {
		refuseStream(w, r, guardrails.Decision{Code: messaging.CodeInternal}, jobID)
		return
	}
	defer sub.End()
	stream.subscription.Store(sub)
	setStreamHeaders(w.Header())
	var compressed *gzipBody
	if g.compresses(r, CompressAll) {
		compressed = &gzipBody{}
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(http.StatusOK)
	g.pump(w, r, stream, compressed)
}

// setStreamHeaders sets the headers of every event stream. They ask proxies neither to
// compress nor to buffer the stream, because both delay events.
func setStreamHeaders(header http.Header) {
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
	header.Add("Vary", "Accept-Encoding")
}

// streamStart returns where a stream begins. It reports false if it has refused the request.
func (g *Gateway) streamStart(w http.ResponseWriter, r *http.Request) (hub.Start, bool) {
	from := g.freshStart()
	since := r.Header.Get("Last-Event-ID")
	if since == "" {
		since = r.URL.Query().Get("since")
	}
	if since == "" {
		return from, true
	}
	position, err := messaging.ParsePosition(since)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, messaging.NewProblem(messaging.CodeSinceInvalid))
		return from, false
	}
	from.Resume, from.Position = true, position
	return from, true
}

// pump writes the blocks of the stream's queue until the request ends, compressed unless
// compressed is nil.
func (g *Gateway) pump(w http.ResponseWriter, r *http.Request, stream *openStream, compressed *gzipBody) {
	control := http.NewResponseController(w)
	heartbeat := time.NewTicker(streamHeartbeat)
	defer heartbeat.Stop()
	last := time.Now()
	blocks := [][]byte{[]byte(": stream of job events\n\n")}
	for {
		if compressed != nil {
			piece, err := compressed.compress(slices.Concat(blocks...), false)
			if err != nil {
				return
			}
			blocks = [][]byte{piece}
		}
		if err := writeBlocks(w, control, blocks); err != nil {
			return
		}
		blocks = nil // so that a silent stream keeps no event in memory
		select {
		case <-r.Context().Done():
			return
		case <-stream.sink.waiting:
			blocks, last = stream.sink.take(), time.Now()
		case <-heartbeat.C:
			if g.idleStream(stream, last) {
				return
			}
			blocks = [][]byte{[]byte(": \n\n")}
		}
	}
}

// idleStream closes a stream on which nothing was sent since last, if that is longer than the
// idle timeout, and reports whether it did. A client cannot send anything on a stream, but it
// reconnects by itself after the end.
func (g *Gateway) idleStream(stream *openStream, last time.Time) bool {
	decision := g.limits.Load().Evict(time.Now(), last)
	if decision.Allowed() {
		g.count(decision, stream.origin) // in a dry run
		return false
	}
	g.closeStream(stream, decision)
	return true
}

// writeBlocks writes and flushes the blocks, with a deadline for each
// streamChunkBytes of them.
func writeBlocks(w http.ResponseWriter, control *http.ResponseController, blocks [][]byte) error {
	written := streamChunkBytes // the first write renews the deadline
	for _, block := range blocks {
		for len(block) > 0 {
			if written >= streamChunkBytes {
				_ = control.SetWriteDeadline(time.Now().Add(streamWriteTimeout)) // ignored where deadlines are not supported
				written = 0
			}
			chunk := block[:min(len(block), streamChunkBytes-written)]
			if _, err := w.Write(chunk); err != nil {
				return fmt.Errorf("write to a stream: %w", err)
			}
			block, written = block[len(chunk):], written+len(chunk)
		}
	}
	_ = control.SetWriteDeadline(time.Now().Add(streamWriteTimeout)) // for what the server still buffers
	if err := control.Flush(); err != nil {
		return fmt.Errorf("flush a stream: %w", err)
	}
	return nil
}
