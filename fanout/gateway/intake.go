package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
)

// slowedCost is how many times the bytes of a client that is slowed down count, see
// [guardrails.Churn].
const slowedCost = 8

// intake limits how fast one connection is read.
type intake struct {
	gateway *Gateway
	owner   string
	rate    *guardrails.Intake
	began   time.Time
}

// NewIntake returns the intake of a connection by its first request. It starts with the
// usage of earlier connections from the same address or IPv6 /64. Subjects are not
// considered, because bytes that a client sends before its token was read count too.
func (g *Gateway) NewIntake(r *http.Request) socketio.Intake {
	owner := g.churner(r)
	now := time.Now()
	return &intake{gateway: g, owner: owner, rate: g.intakes.Take(owner, *g.limits.Load(), now), began: now}
}

// Spend implements socketio.Intake.
func (i *intake) Spend(bytes int) time.Duration {
	now, dryRun := time.Now(), i.gateway.limits.Load().DryRun
	if !dryRun && i.gateway.churn.Slowed(i.owner, now) {
		bytes *= slowedCost
	}
	wait := i.rate.Spend(bytes, now)
	if wait <= 0 {
		return 0
	}
	i.gateway.throttled.WithLabelValues(strconv.FormatBool(dryRun)).Inc()
	if dryRun {
		return 0
	}
	return wait
}

// End implements socketio.Intake.
func (i *intake) End() {
	i.gateway.intakes.Return(i.owner, i.rate, time.Now())
	i.gateway.noteChurn(i.owner, i.began)
}
