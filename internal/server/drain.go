package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/wait"
)

// The weights of the steps that take time at the stop, see [lifecycle.stop]; the others
// return at once, and weigh 1.
const (
	// ingestWeight leaves ingest more than the half of SHUTDOWN_TIMEOUT that it drains
	// for: the steps after it that have no reserve weigh about 20 together.
	ingestWeight = 80
	// guestWeight is for parts of the caller's, of which nothing is known.
	guestWeight = 10
	// closingWeight is for clients, projections and long work to end what is under way.
	closingWeight = 3
	// storeWeight is for what waits in memory to be written.
	storeWeight = 8
)

// drainClients ends the sockets and event streams over DRAIN_SECONDS.
func (a *App) drainClients(ctx context.Context, gateway *gateway.Gateway) error {
	var streams sync.WaitGroup
	streams.Go(func() { gateway.DrainStreams(ctx, a.cfg.DrainPeriod()) }) // ends with the drain
	defer streams.Wait()
	return a.cutOff("sockets", a.sockets.Shutdown(ctx))
}

// cutOff makes a warning of the end of a step's time. Clients that take nothing are
// cut off then, which is no failure of the service.
func (a *App) cutOff(what string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		a.logger.Warn("clients did not end in time, and were cut off", "what", what, "err", err)
		return nil
	}
	return err
}

// holdListener waits for the end of DRAIN_SECONDS, whatever the number of clients:
// until a balancer has seen that the gateway is not ready it sends requests, which a
// closed port would refuse without an answer.
func (a *App) holdListener(ctx context.Context) error {
	return wait.For(ctx, time.Until(a.drained))
}
