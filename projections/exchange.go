package projections

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// maxStrays bounds how often a collection that another writer created between the two
// renames is put aside as well.
const maxStrays = 10

// holds reports whether the record of a document is in an extent of the log, or after it in
// the same epoch.
func holds(e messaging.Extent, doc bson.Raw) (sequence uint64, held bool) {
	number, ok := doc.Lookup(fieldSequence).AsInt64OK()
	if !ok || number < 1 || text(doc, fieldEpoch) != e.Epoch || uint64(number) < e.First {
		return 0, false
	}
	return uint64(number), true
}

// kept matches documents that cannot be re-created from the log: those of older writers, of
// earlier epochs, and of records that the log no longer has.
func kept(e messaging.Extent) bson.D {
	return bson.D{{Key: fieldID, Value: bson.D{{Key: "$ne", Value: witnessID}}}, {Key: "$or", Value: bson.A{
		bson.D{{Key: fieldEpoch, Value: bson.D{{Key: "$ne", Value: e.Epoch}}}},
		bson.D{{Key: fieldSequence, Value: bson.D{{Key: "$lt", Value: stored(e.First)}}}},
		bson.D{{Key: fieldSequence, Value: nil}},
	}}}
}

// keptOrAdopted matches the documents that kept matches, and adopted ones: workers wrote
// them, and may read them by their _ids. The shadow also has the projection's documents of
// the same records, until it is mended.
func keptOrAdopted(e messaging.Extent) bson.D {
	return bson.D{{Key: "$or", Value: bson.A{kept(e), bson.D{{Key: fieldLogStoredAt, Value: bson.D{{Key: "$exists", Value: true}}}}}}}
}

// CopyKept copies into the shadow the documents of the projection's collection that
// cannot be re-created from the log: those of older writers, of earlier epochs, and of
// records that retention has removed. It also copies adopted documents; [Model.Mend]
// then removes the shadow's own documents of their records. It copies from collections
// that an interrupted swap has put aside, too. It returns how many documents it found. A
// repeat copies what was added since.
func (m *Model) CopyKept(ctx context.Context, extent messaging.Extent, progress func(copied int)) (int, error) {
	aside, err := m.aside(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the note of the swap of %s: %w", m.name, err)
	}
	total := 0
	for _, name := range append(aside, m.Collection()) {
		n, err := m.copyKept(ctx, name, m.shadow, keptOrAdopted(extent), func(n int) {
			if progress != nil {
				progress(total + n)
			}
		})
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (m *Model) copyKept(ctx context.Context, from string, to *Store, which bson.D, progress func(int)) (int, error) {
	source, target := m.live.events.Database().Collection(from, sure()), m.collection(to)
	cursor, err := source.Find(ctx, which, options.Find().SetBatchSize(int32(m.live.cfg.MaxBatch)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", from, err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // Else the server's timeout does it.
	copied := 0
	flush := func(docs []any) error {
		// Do not cancel it: the server may execute a command whose client has gone.
		_, refused, err := to.insertAll(context.WithoutCancel(ctx), target, docs)
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("copy %d documents of %s: %w", len(refused), from, errRefused)
		}
		copied += len(docs)
		progress(copied)
		return err
	}
	var docs []any
	size := 0
	for cursor.Next(ctx) {
		doc := append(bson.Raw(nil), cursor.Current...)
		docs, size = append(docs, doc), size+len(doc)
		if len(docs) < m.live.cfg.MaxBatch && size < maxCopyBytes {
			continue
		}
		if err := flush(docs); err != nil {
			return copied, err
		}
		docs, size = docs[:0], 0
	}
	if err := cursor.Err(); err != nil {
		return copied, fmt.Errorf("read %s: %w", from, err)
	}
	if len(docs) == 0 {
		return copied, nil
	}
	return copied, flush(docs)
}

// maxCopyBytes bounds what is copied with one command.
const maxCopyBytes = 8 << 20

// Exchange puts the projection's collection aside and the shadow into its place,
// and returns the name of what was put aside. It takes two renames: MongoDB has no
// command that swaps, and a rename that replaces would drop what older writers have
// added meanwhile. Between the two the collection is missing, and readers use the log.
// If another writer re-creates the collection in that moment, it is put aside as well. No
// projection may write into the collection meanwhile: the caller has paused the consumer.
//
// Exchange first notes what it is about to do, and can be repeated after an interruption;
// [Model.Settle] completes the swap. It returns [ErrNoShadow] when there is no shadow.
func (m *Model) Exchange(ctx context.Context) (aside string, err error) {
	found, err := m.Collections(ctx)
	if err != nil {
		return "", err
	}
	if !found.Shadow {
		return "", fmt.Errorf("swap %s: %w", m.Collection(), ErrNoShadow)
	}
	names, err := m.aside(ctx)
	if err != nil {
		return "", fmt.Errorf("read the note of the swap of %s: %w", m.name, err)
	}
	var failure error
	for range maxStrays {
		aside = m.Collection() + oldInfix + strings.Replace(time.Now().UTC().Format(oldLayout), ".", "", 1)
		names = append(names, aside)
		if err := m.setAside(ctx, names); err != nil {
			return "", err
		}
		err := m.rename(ctx, m.Collection(), aside)
		if err != nil && !hasServerCode(err, codeNamespaceNotFound) {
			return "", err
		}
		failure = m.rename(ctx, m.collection(m.shadow).Name(), m.Collection())
		if failure == nil {
			return names[0], nil
		}
		if isOutage(failure) { // whether it was renamed is not known
			return "", failure
		}
		// Do not rely on the code: FerretDB returns that of a failed constraint when the
		// collection is created at the same moment.
		if found, err := m.Collections(ctx); err != nil || !found.Present || !found.Shadow {
			return "", failure
		}
	}
	return "", fmt.Errorf("swap %s: %w: another writer keeps making it: %w", m.Collection(), ErrSwapUnfinished, failure)
}

// Settle copies from the collections that were put aside the documents that other writers
// added before the renames, and removes the note of the swap. It returns how many such
// documents it found; most have been copied before. A repeat is harmless, and
// without a swap it does nothing.
func (m *Model) Settle(ctx context.Context, extent messaging.Extent) (int, error) {
	names, err := m.aside(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the note of the swap of %s: %w", m.name, err)
	}
	total := 0
	for _, name := range names {
		n, err := m.copyKept(ctx, name, m.live, kept(extent), func(int) {})
		if total += n; err != nil {
			return total, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	if _, err := m.swaps().DeleteOne(ctx, bson.D{{Key: fieldID, Value: m.name}}); err != nil {
		return total, fmt.Errorf("end the swap of %s: %w", m.name, err)
	}
	return total, nil
}

func (m *Model) rename(ctx context.Context, from, to string) error {
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	database := m.live.events.Database().Name()
	err := m.live.client.Database("admin").RunCommand(ctx, bson.D{
		{Key: "renameCollection", Value: database + "." + from},
		{Key: "to", Value: database + "." + to},
	}).Err()
	if err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}
