package fanout

import (
	"context"
	"time"
)

// projectedUpTo returns the sequence up to which MongoDB is known to have every
// record. It reports false when MongoDB cannot be asked.
func (h *history) projectedUpTo(ctx context.Context) (uint64, bool) {
	if !h.mongoUp() {
		return 0, false
	}
	h.mu.Lock()
	known := h.floor
	h.mu.Unlock()
	if time.Since(known.at) < floorAge {
		return known.sequence, true
	}
	sequence, err := h.projection.Floor(ctx)
	if err != nil {
		return 0, false // the log does not say; it is asked for the page, too
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = floor{sequence: sequence, at: time.Now()}
	return sequence, true
}

// mongoUp reports whether MongoDB is configured and has not failed just now.
func (h *history) mongoUp() bool {
	if h.projection == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !time.Now().Before(h.downUntil)
}

// mongoAnswered notes the outcome of a read, and reports whether it was a good
// one. After a failure MongoDB is left alone for a moment, so that a catch-up
// waits for it once and not once a page. Each change of state is logged once.
func (h *history) mongoAnswered(err error) bool {
	h.mu.Lock()
	was := h.down
	h.down = err != nil
	if err != nil {
		h.downUntil = time.Now().Add(mongoDownTime)
	}
	h.mu.Unlock()
	switch {
	case err != nil && !was:
		h.logger.Warn("MongoDB does not answer; catch-up is served from the log", "err", err)
	case err == nil && was:
		h.logger.Info("MongoDB answers again")
	}
	return err == nil
}
