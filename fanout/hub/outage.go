package hub

import (
	"log/slog"
	"sync/atomic"
)

// outage logs once that a store does not answer, and once that it answers again, however
// many requests fail.
type outage struct {
	store  string
	effect string
	logger *slog.Logger
	down   atomic.Bool
}

// note handles the outcome of a request to the store.
func (o *outage) note(err error) {
	switch {
	case err == nil && !o.down.Load():
	case err == nil:
		if o.down.Swap(false) {
			o.logger.Info(o.store + " answers again")
		}
	case !o.down.Swap(true):
		o.logger.Warn(o.store+" does not answer; "+o.effect, "err", err)
	}
}
