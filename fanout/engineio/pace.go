package engineio

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Intake decides how fast one client is read from. Its methods may be called
// concurrently.
type Intake interface {
	// Spend notes that bytes were read, and returns for how long nothing more is to be
	// read from the client; zero or less means that more may be.
	Spend(bytes int) time.Duration
	// End is called once, when the session has ended.
	End()
}

// paceBytes bounds one read from a client, and so by how much it may exceed its rate.
const paceBytes = 16 << 10

// pacePause is the shortest wait of a client that has sent too much: what it may send
// meanwhile is read at once afterwards, and not a few bytes at a time.
const pacePause = 50 * time.Millisecond

// packetCostBytes is what a packet costs beside its bytes, so that many small ones are
// bounded, too.
const packetCostBytes = 128

// pace is how fast a session is read from. A client that sends more waits for the
// network, as on a slow line, and fails the heartbeat where that takes too long.
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

// spend notes what was read.
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

// wait returns when the client may send again, or the channel that done returns is
// closed, which it reports.
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

// pacedBody is the body of a POST that is not read faster than the client may send.
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
