package server

import (
	"context"
	"errors"
)

// errIDsNotRead says that publishing waits for the ids of the log, as after the start.
var errIDsNotRead = errors.New("the ids of the log are still being read, and publishing waits for them")

// knowIDs reads the ids of the log, if STREAM_KNOWN_IDS asks for that. The gateway is not ready
// before it has them: a first publish would wait as long.
func (a *App) knowIDs() {
	if a.cfg.KnownIDs <= 0 {
		return
	}
	known := a.log.KnowIDs(a.cfg.KnownIDs)
	a.loop("known ids", known.Run)
	a.health.checks = append(a.health.checks, check{part: "ids", required: true, ask: func(context.Context) error {
		if !known.Loaded() {
			return errIDsNotRead
		}
		return nil
	}})
}
