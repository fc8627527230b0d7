package server

import (
	"errors"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/operations/inspect"
)

// NothingMatches reports whether an error says that there is nothing of what was asked
// for: as a rule its name is mistyped.
func NothingMatches(err error) bool {
	return errors.Is(err, inspect.ErrNoEvent) || errors.Is(err, eventstore.ErrNoOperation) || errors.Is(err, ErrNothingToErase)
}
