package gateway

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

// maxSlowed bounds the requests that wait because their clients are slowed down, each with
// its connection and its goroutine. Beyond it, requests do not wait.
const maxSlowed = 1024

// handshakeShare is the part of the wait of a request that a handshake waits: at most 150 ms,
// because a client whose handshake is refused is due the refusal within 200 ms.
const handshakeShare = 0.5

// Paced slows down a client that sends many requests while the processors are busy, see
// [guardrails.Churn]. It is for requests over REST and for event streams.
func (g *Gateway) Paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := g.churner(r)
		if !g.slowDown(r, client, 1) {
			return
		}
		defer g.noteChurn(client, time.Now())
		next.ServeHTTP(w, r)
	})
}

// churner returns the client that a request counts for. It is an address, because requests
// that are refused for their tokens count as well.
func (g *Gateway) churner(r *http.Request) string {
	return guardrails.CountedAddress(g.address(r)).String()
}

// noteChurn counts something that began a short time ago, and has ended.
func (g *Gateway) noteChurn(client string, began time.Time) {
	if now := time.Now(); now.Sub(began) < guardrails.ChurnLife {
		g.churn.Note(client, now)
	}
}

// slowDown waits for a share of what a request of a client has to wait. It returns false if
// the client has gone.
func (g *Gateway) slowDown(r *http.Request, client string, share float64) bool {
	wait := g.churn.Wait(client, time.Now(), rand.Float64())
	if wait == 0 || g.limits.Load().DryRun {
		return true
	}
	defer g.slowed.Add(-1)
	if g.slowed.Add(1) > maxSlowed {
		return true
	}
	g.slowedTotal.Inc()
	timer := time.NewTimer(time.Duration(share * float64(wait)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
