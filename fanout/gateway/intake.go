package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/fanout/socketio"
	"github.com/letswriteabook/realtime/guardrails"
)

// intake limits how fast one connection is read.
type intake struct {
	gateway *Gateway
	owner   string
	rate    *guardrails.Intake
}

// NewIntake returns the intake of a connection by its first request. It starts with the
// usage of earlier connections from the same address or IPv6 /64. Subjects are not
// considered, because bytes that a client sends before its token was read count too.
func (g *Gateway) NewIntake(r *http.Request) socketio.Intake {
	owner := guardrails.CountedAddress(g.address(r)).String()
	return &intake{gateway: g, owner: owner, rate: g.intakes.Take(owner, *g.limits.Load(), time.Now())}
}

// Spend implements socketio.Intake.
func (i *intake) Spend(bytes int) time.Duration {
	wait := i.rate.Spend(bytes, time.Now())
	if wait <= 0 {
		return 0
	}
	dryRun := i.gateway.limits.Load().DryRun
	i.gateway.throttled.WithLabelValues(strconv.FormatBool(dryRun)).Inc()
	if dryRun {
		return 0
	}
	return wait
}

// End implements socketio.Intake.
func (i *intake) End() { i.gateway.intakes.Return(i.owner, i.rate, time.Now()) }
