package projections

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Mended counts documents that [Model.Mend] has made fewer, or would.
type Mended struct {
	// Doubled are events that stood twice, once as a worker had written them.
	Doubled int
	// Erased are workers' documents of events that were erased.
	Erased int
}

// Total is how many documents are fewer.
func (m Mended) Total() int { return m.Doubled + m.Erased }

// Mend makes every event stand once in the history, or in its shadow: it adopts the
// documents of workers that have a record, and removes what is one too many of a record.
// It also removes the documents that workers have written of erased events. With dry set
// it changes nothing.
//
// It reads the collection once, job by job, and holds what is without a sequence of one
// job, see maxTwins. What has more is mended by a repeat. A repeat is harmless, and so is
// a gateway that does the same meanwhile.
func (m *Model) Mend(ctx context.Context, shadow, dry bool) (mended Mended, err error) {
	if m.name != History {
		return mended, nil
	}
	store := m.live
	if shadow {
		store = m.shadow
	}
	erased := store.newErased()
	if err := erased.learn(ctx, store.cfg.ReadTimeout); err != nil {
		return mended, fmt.Errorf("mend %s: %w", m.collection(store).Name(), err)
	}
	job, current, late := "", newMatching(nil), bson.A(nil)
	finish := func() error {
		if !dry {
			if err := store.removeErased(ctx, late); err != nil {
				return err
			}
		}
		mended.Erased += len(late)
		if len(current.workers) == 0 && len(current.group) == 0 && current.surplus.count() == 0 {
			return nil
		}
		pairs := current.pairs()
		if dry {
			mended.Doubled += len(pairs) + len(current.surplus.remove)
			return nil
		}
		n, err := store.settle(ctx, pairs, current.surplus)
		mended.Doubled += n
		return err
	}
	var failure error
	err = store.eachEvent(ctx, bson.D{{Key: fieldJobID, Value: bson.D{{Key: "$gt", Value: ""}}}}, byJob, func(doc bson.Raw) bool {
		if now := text(doc, fieldJobID); now != job {
			if failure = finish(); failure != nil {
				return false
			}
			job, current, late = now, newMatching(nil), nil
		}
		if sequence, ok := doc.Lookup(fieldSequence).AsInt64OK(); ok && sequence > 0 {
			current.add(doc)
		} else if erased.covers(doc) {
			if len(late) < maxTwins {
				late = append(late, twin{id: idOf(doc)}.idValue())
			}
		} else if t, ok := twinOf(doc); ok {
			current.addWorker(t)
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
