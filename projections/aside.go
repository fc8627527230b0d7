package projections

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// PutAside puts the projection's collection aside, as if somebody had dropped it,
// and returns what it is called now. From then on readers ask the log, and the
// history projection has nothing acknowledged, until a rebuild is swapped in, which
// carries over what only the collection has, or until [Model.PutBack].
//
// It counts as a swap that has begun. It returns [ErrSwapUnfinished] while there is
// another one, and [ErrNoCollection] when there is no collection.
func (m *Model) PutAside(ctx context.Context) (string, error) {
	found, err := m.Collections(ctx)
	switch {
	case err != nil:
		return "", err
	case found.Unfinished:
		return "", fmt.Errorf("put %s aside: %w", m.Collection(), ErrSwapUnfinished)
	case !found.Present:
		return "", fmt.Errorf("put %s aside: %w", m.Collection(), ErrNoCollection)
	}
	name := m.asideName()
	if err := m.setAside(ctx, []string{name}); err != nil {
		return "", err
	}
	return name, m.rename(ctx, m.Collection(), name)
}

// PutBack ends what [Model.PutAside] has begun: the collection is in its place again,
// with what other writers have added to the one that came into being there. That one
// is put aside in its turn. What the projection wrote into it, it writes again. A
// repeat, or one after the swap of a rebuild, does nothing.
func (m *Model) PutBack(ctx context.Context, name string, extent Extent) error {
	names, err := m.aside(ctx)
	if err != nil {
		return fmt.Errorf("read the note of the swap of %s: %w", m.name, err)
	}
	if !slices.Contains(names, name) {
		return nil
	}
	found, err := m.Collections(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(found.Old, name) {
		if m.name == History {
			// With the old mark, a batch that is being written would take the collection for
			// the one that it went into.
			if err := m.markAnew(ctx, name); err != nil {
				return err
			}
		}
		if names, err = m.replace(ctx, names, name); err != nil {
			return err
		}
	}
	strays := slices.DeleteFunc(names, func(aside string) bool { return aside == name })
	if err := m.setAside(ctx, strays); err != nil {
		return err
	}
	_, err = m.Settle(ctx, extent)
	return err
}

// markAnew gives the witness of a collection that was put aside another mark.
func (m *Model) markAnew(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	collection := m.live.events.Database().Collection(name, sure())
	_, err := collection.UpdateOne(ctx, bson.D{{Key: fieldID, Value: witnessID}}, bson.D{{Key: "$set", Value: bson.D{newMark()}}})
	if err != nil {
		return fmt.Errorf("mark the witness of %s: %w", name, err)
	}
	return nil
}
