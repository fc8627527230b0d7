package archive

import (
	"errors"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

var (
	// ErrNoStream is returned by [Archive.Save] and others when the server has no such
	// stream. A retry helps once a gateway has created it.
	ErrNoStream = jet.ErrNoStream

	// ErrStreamExists is returned by [Archive.RestoreMarked] when the server has the stream
	// already. A retry helps once it is removed.
	ErrStreamExists = errors.New("the stream exists")

	// ErrDamaged is returned when fewer messages can be read from a stream than it says it
	// has, or others than were saved. A retry does not help; a backup does.
	ErrDamaged = errors.New("the stream is damaged")

	// ErrNoRoom is returned by [Archive.RestoreBeside] when the server does not accept a
	// second stream of that size beside the first. A restore in its place helps, which
	// deletes the first.
	ErrNoRoom = errors.New("the server has no room for the restored stream beside the one that is there")

	// ErrBadSnapshot is returned by [Archive.RestoreMarked] for a snapshot that is not one of the
	// log's. A retry does not help.
	ErrBadSnapshot = errors.New("not a snapshot of the log")
)
