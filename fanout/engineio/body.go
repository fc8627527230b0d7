package engineio

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// firstBodyBytes is the memory that a body gets before any of it has arrived.
	firstBodyBytes = 4 << 10
	// maxBodiesBytes bounds the memory of the bodies being read or handled on all sessions
	// together. If a single body may be larger, the bound is the size of two such bodies.
	maxBodiesBytes = 64 << 20
)

// errNoRoom is returned for a body that does not fit beside the others.
var errNoRoom = errors.New("engineio: bodies of requests take too much memory")

// bodies counts the memory of POST bodies. It is safe for concurrent use.
type bodies struct {
	most  int64
	bytes atomic.Int64
}

func newBodies(largest int64) bodies {
	return bodies{most: max(maxBodiesBytes, 2*largest)}
}

// take books memory, or returns false if there is none.
func (b *bodies) take(bytes int) bool {
	if b.bytes.Add(int64(bytes)) <= b.most {
		return true
	}
	b.bytes.Add(-int64(bytes))
	return false
}

func (b *bodies) giveBack(bytes int) { b.bytes.Add(-int64(bytes)) }

// readBody reads at most MaxPayloadBytes, within BodyTimeout and until the session ends.
// The caller must call release, which returns the memory.
func (s *Session) readBody(w http.ResponseWriter, r *http.Request, transport *polling) (body []byte, release func(), refused *refusal) {
	cfg := s.server.cfg
	release = func() {}
	if r.ContentLength > cfg.MaxPayloadBytes {
		return nil, release, refuseTooLarge
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(cfg.BodyTimeout)) // where it is supported
	s.mu.Lock()
	if transport.over {
		s.mu.Unlock()
		return nil, release, refuseRequest
	}
	transport.cut = func() { _ = control.SetReadDeadline(time.Unix(1, 0)) }
	s.mu.Unlock()
	data, err := readAll(pacedBody{http.MaxBytesReader(w, r.Body, cfg.MaxPayloadBytes), s}, &s.server.bodies)
	s.mu.Lock()
	transport.cut = nil // before anything else is read from the connection
	s.mu.Unlock()
	release = func() { s.server.bodies.giveBack(cap(data)) }
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case err == nil:
		return data, release, nil
	case errors.As(err, &tooLarge):
		return nil, release, refuseTooLarge
	case errors.Is(err, errNoRoom):
		return nil, release, refuseBusy
	}
	s.abort(ReasonTransportClose, frameClose)
	return nil, release, refuseRequest
}

// readAll reads to the end. It books memory before it allocates it, as the bytes arrive.
// The capacity of the result stays booked, even after an error.
func readAll(from io.Reader, among *bodies) ([]byte, error) {
	var data []byte
	for {
		if len(data) == cap(data) {
			size := max(2*cap(data), firstBodyBytes)
			if !among.take(size) {
				return data, errNoRoom
			}
			larger := append(make([]byte, 0, size), data...)
			among.giveBack(cap(data))
			data = larger
		}
		n, err := from.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return data, err
		}
	}
}
