package backends

import (
	"context"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/projections"
)

// Erasures is the record of erasures in the form that the read models need: what began,
// without what a restore noted once more, which is not newer than the first note.
type Erasures struct{ Audit *audit.Trail }

// Erased implements [projections.Erasures].
func (e Erasures) Erased(ctx context.Context, after uint64) (erased []projections.Erasure, newest uint64, err error) {
	notes, newest, err := e.Audit.Begun(ctx, after)
	for _, note := range notes {
		if note.Of == "" {
			erased = append(erased, projections.Erasure{JobID: note.JobID, At: note.At})
		}
	}
	return erased, newest, err
}
