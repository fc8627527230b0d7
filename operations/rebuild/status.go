package rebuild

import (
	"context"
)

// Status is how one projection stands to the log.
type Status struct {
	Projection string `json:"projection"`
	Collection string `json:"collection"`
	Documents  int64  `json:"documents"`
	// Ran says that its consumer exists; without one, all of the log is its lag.
	Ran bool `json:"ran"`
	// Floor is the sequence up to which MongoDB has everything, Head the log's last.
	Floor uint64 `json:"floor"`
	Head  uint64 `json:"head"`
	// LagEvents are the records that are yet to be acknowledged, LagSeconds is the
	// age of the oldest of them.
	LagEvents  uint64  `json:"lagEvents"`
	LagSeconds float64 `json:"lagSeconds"`
	// Paused says that somebody has paused the consumer, as a swap does.
	Paused bool `json:"paused"`
	// Shadow is there while a rebuild is under way or waits to be swapped.
	Shadow *Shadow `json:"shadow,omitempty"`
	// Old are collections that swaps have put aside.
	Old []string `json:"old,omitempty"`
	// Unfinished says that a swap was interrupted and is to be repeated.
	Unfinished bool `json:"unfinished"`
	// Lost says that the collection was dropped or emptied: the projection stands
	// still until a rebuild is swapped in.
	Lost bool `json:"lost"`
}

// Shadow is a rebuild under way.
type Shadow struct {
	Documents int64  `json:"documents"`
	Floor     uint64 `json:"floor"`
	LagEvents uint64 `json:"lagEvents"`
}

// Status asks log and MongoDB how the projection stands.
func (r *Rebuild) Status(ctx context.Context) (Status, error) {
	log, err := r.log.State(ctx)
	if err != nil {
		return Status{}, err
	}
	found, err := r.model.Collections(ctx)
	if err != nil {
		return Status{}, err
	}
	documents, shadow, err := r.model.Count(ctx)
	if err != nil {
		return Status{}, err
	}
	status := Status{
		Projection: r.model.Name(), Collection: r.model.Collection(), Documents: documents,
		Head: log.Last, Old: found.Old, Unfinished: found.Unfinished,
	}
	if status.Lost, err = r.lost(ctx); err != nil {
		return Status{}, err
	}
	live, ran, err := r.log.Behind(ctx, r.model.Name())
	if err != nil {
		return Status{}, err
	}
	status.Ran, status.Floor, status.Paused, status.LagEvents, status.LagSeconds = ran, live.Floor, live.Paused, live.Pending, live.LagSeconds()
	if !found.Shadow {
		return status, nil
	}
	status.Shadow = &Shadow{Documents: shadow}
	filling, _, err := r.log.Behind(ctx, r.model.RebuildConsumer())
	if err != nil {
		return Status{}, err
	}
	status.Shadow.Floor, status.Shadow.LagEvents = filling.Floor, filling.Pending
	return status, nil
}
