package engineio

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Intake limits how fast one client is read. Its methods may be called concurrently.
type Intake interface {
	// Spend counts bytes that were read and returns how long to wait before reading more;
	// zero or less means that more may be read now.
	Spend(bytes int) time.Duration
	// End is called once, when the session has ended.
	End()
}

// paceBytes bounds one read from a client, and therefore by how much the client may exceed
// its rate.
const paceBytes = 16 << 10

// pacePause is the shortest wait of a client that has sent too much. The bytes that it may
// send meanwhile are then read at once instead of a few at a time.
const pacePause = 50 * time.Millisecond

// packetCostBytes is added to the size of each packet, so that many small packets are
// limited too.
const packetCostBytes = 128

// pace limits how fast a session is read. A client that sends more waits for the network,
// as on a slow line, and fails the heartbeat if that takes too long.
type pace struct {
	intake Intake // nil: no bound

	mu    sync.Mutex // guards until
	until time.Time  // nothing is read before
}

func (s *Server) newPace(r *http.Request) pace {
	if s.cfg.NewIntake == nil {
		return pace{}
	}
	return pace{intake: s.cfg.NewIntake(r)}
}

// spend counts bytes that were read.
func (p *pace) spend(bytes int) {
	if p.intake == nil || bytes == 0 {
		return
	}
	wait := p.intake.Spend(bytes)
	if wait <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Now().Add(wait)
}

// wait returns when the client may send again, or when the channel of done is closed; then
// it returns true.
func (p *pace) wait(done func() <-chan struct{}) (ended bool) {
	if p.intake == nil {
		return false
	}
	p.mu.Lock()
	until := p.until
	p.mu.Unlock()
	if until.IsZero() {
		return false
	}
	pause := time.Until(until)
	if pause <= 0 {
		return false
	}
	timer := time.NewTimer(max(pause, pacePause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-done():
		return true
	}
}

func (p *pace) end() {
	if p.intake != nil {
		p.intake.End()
	}
}

// pacedBody is the body of a POST that is read no faster than the client may send.
type pacedBody struct {
	io.Reader
	session *Session
}

// Read implements io.Reader. Nothing is read for a session that ended meanwhile.
func (b pacedBody) Read(p []byte) (int, error) {
	if b.session.pace.wait(b.session.Done) {
		return 0, ErrClosed
	}
	n, err := b.Reader.Read(p[:min(len(p), paceBytes)])
	b.session.pace.spend(n)
	return n, err
}
