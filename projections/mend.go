package projections

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Mend makes every event stand once in the history, or in its shadow: it adopts the
// documents of workers that have a record, and removes what is one too many of a record.
// It returns how many documents are fewer for it. With dry set it changes nothing, and
// returns how many would be.
//
// It reads the collection once, job by job, and holds what is without a sequence of one
// job, see maxTwins. What has more is mended by a repeat. A repeat is harmless, and so is
// a gateway that does the same meanwhile.
func (m *Model) Mend(ctx context.Context, shadow, dry bool) (int, error) {
	if m.name != History {
		return 0, nil
	}
	store := m.live
	if shadow {
		store = m.shadow
	}
	mended := 0
	job, current := "", newMatching(nil)
	finish := func() error {
		if len(current.workers) > 0 || len(current.group) > 0 || current.surplus.count() > 0 {
			pairs := current.pairs()
			if dry {
				mended += len(pairs) + len(current.surplus.remove)
				return nil
			}
			n, err := store.settle(ctx, pairs, current.surplus)
			mended += n
			return err
		}
		return nil
	}
	var failure error
	err := store.eachEvent(ctx, bson.D{{Key: fieldJobID, Value: bson.D{{Key: "$gt", Value: ""}}}}, byJob, func(doc bson.Raw) bool {
		if now := text(doc, fieldJobID); now != job {
			if failure = finish(); failure != nil {
				return false
			}
			job, current = now, newMatching(nil)
		}
		if sequence, ok := doc.Lookup(fieldSequence).AsInt64OK(); ok && sequence > 0 {
			current.show(doc)
		} else if t, ok := twinOf(doc); ok {
			current.work(t)
		}
		return true
	})
	if err == nil && failure == nil {
		failure = finish()
	}
	if err == nil {
		err = failure
	}
	if err != nil {
		return mended, fmt.Errorf("mend %s: %w", m.collection(store).Name(), err)
	}
	return mended, nil
}
