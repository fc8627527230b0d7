package projections

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Mended counts the documents that [Model.Mend] has removed, or would remove.
type Mended struct {
	// Doubled are documents in excess of one for each event.
	Doubled int
	// Erased are workers' documents of events that were erased.
	Erased int
}

// Total is the number of all of them.
func (m Mended) Total() int { return m.Doubled + m.Erased }

// Mending says what [Model.Mend] mends.
type Mending struct {
	Epoch  string // the log's
	Shadow bool   // the shadow, and not the collection
	Dry    bool   // count, and change nothing
}

// Mend leaves one document of each event in the history, or in its shadow: it adopts the
// documents of workers whose events have a record, and removes other documents of the
// record, those of earlier epochs included. It also removes the documents that workers have
// written of erased events.
//
// It reads the collection once, job by job, and keeps one job's documents without a sequence
// in memory, at most maxTwins; a repeat mends what exceeds that. A repeat is harmless, and so
// is a gateway that does the same meanwhile.
func (m *Model) Mend(ctx context.Context, what Mending) (Mended, error) {
	if m.name != History {
		return Mended{}, nil
	}
	mend := &mending{Mending: what, store: m.live}
	if what.Shadow {
		mend.store = m.shadow
	}
	err := mend.run(ctx)
	if err != nil {
		err = fmt.Errorf("mend %s: %w", m.collection(mend.store).Name(), err)
	}
	return mend.mended, err
}

// mending is one run of [Model.Mend].
type mending struct {
	Mending
	store  *Store
	erased *erased
	mended Mended

	// Of the job that is being read:
	job      string
	matching *matching
	epochs   epochs
	late     bson.A // the _ids of documents of erased events
}

func (m *mending) run(ctx context.Context) error {
	m.erased = m.store.newErased()
	if _, err := m.erased.update(ctx, m.store.cfg.ReadTimeout); err != nil {
		return err
	}
	m.begin("")
	var failure error
	err := m.store.eachEvent(ctx, bson.D{{Key: fieldJobID, Value: bson.D{{Key: "$gt", Value: ""}}}}, byJob, func(doc bson.Raw) bool {
		failure = m.add(ctx, doc)
		return failure == nil
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	return m.finish(ctx)
}

func (m *mending) begin(job string) {
	m.job, m.matching, m.epochs, m.late = job, newMatching(nil), epochs{current: m.Epoch}, nil
}

// add adds the next document.
func (m *mending) add(ctx context.Context, doc bson.Raw) error {
	if job := text(doc, fieldJobID); job != m.job {
		if err := m.finish(ctx); err != nil {
			return err
		}
		m.begin(job)
	}
	if sequence, ok := doc.Lookup(fieldSequence).AsInt64OK(); ok && sequence > 0 {
		m.matching.add(doc)
		m.epochs.add(doc)
		if m.epochs.full() {
			return m.supersede(ctx)
		}
	} else if m.erased.covers(doc) {
		if len(m.late) < maxTwins {
			m.late = append(m.late, twin{id: idOf(doc)}.idValue())
		}
	} else if t, ok := twinOf(doc); ok {
		m.matching.addWorker(t)
	}
	return nil
}

// finish mends the job whose documents were read.
func (m *mending) finish(ctx context.Context) error {
	pairs := m.matching.pairs()
	m.epochs.end()
	if err := m.supersede(ctx); err != nil {
		return err
	}
	m.mended.Erased += len(m.late)
	if m.Dry {
		m.mended.Doubled += len(pairs) + len(m.matching.surplus.remove)
		return nil
	}
	if err := m.store.removeErased(ctx, m.late); err != nil {
		return err
	}
	n, err := m.store.removeSurplus(ctx, m.matching.surplus)
	if m.mended.Doubled += n; err != nil {
		return err
	}
	n, err = m.store.adopt(ctx, pairs, nil)
	m.mended.Doubled += n
	if refused := (refusedError{}); errors.As(err, &refused) {
		m.store.noteRefused(ctx, refused) // These events stand twice; other jobs are mended.
		return nil
	}
	return err
}

// supersede removes the documents of earlier epochs of the records that were collected.
func (m *mending) supersede(ctx context.Context) error {
	records := m.epochs.records
	m.epochs.records, m.epochs.size = nil, 0
	if len(records) == 0 {
		return nil
	}
	if m.Dry {
		m.mended.Doubled += len(records)
		return nil
	}
	n, err := m.store.supersede(ctx, records)
	m.mended.Doubled += n
	return err
}
