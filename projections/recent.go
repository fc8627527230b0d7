package projections

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// Which documents of workers a pass examines. The index on sequence and _id holds the
// documents without a sequence in the order in which their _ids were created. A document that
// is adopted leaves that part of the index, so that those of the last hours are few.
//
// recentWindow is how long before the last complete pass the search begins where a page does
// not reach back as far, as for what workers wrote while MongoDB or all gateways were away.
const recentWindow = 2 * time.Minute

// recent returns the _ids of the newest documents without a sequence, newest first, and
// whether there are older ones.
func (a *adopter) recent(ctx context.Context) (ids []bson.RawValue, more bool, err error) {
	horizon := a.whole.Add(-recentWindow)
	filter := bson.D{{Key: "$gt", Value: bson.NilObjectID}}
	for len(ids) < a.reach.recent {
		page := 0
		cursor, err := a.events.Find(ctx, bson.D{{Key: fieldSequence, Value: nil}, {Key: fieldID, Value: filter}},
			options.Find().SetSort(bson.D{{Key: fieldID, Value: -1}}).SetProjection(bson.D{{Key: fieldID, Value: 1}}).
				SetLimit(int64(a.reach.page)).SetBatchSize(int32(a.reach.page)+1))
		if err != nil {
			return nil, false, unreadable(a.events, err)
		}
		for cursor.Next(ctx) {
			id := cursor.Current.Lookup(fieldID)
			ids = append(ids, bson.RawValue{Type: id.Type, Value: slices.Clone(id.Value)})
			page++
		}
		err = cursor.Err()
		_ = cursor.Close(context.WithoutCancel(ctx)) // Else the server's timeout does it.
		if err != nil {
			return nil, false, unreadable(a.events, err)
		}
		if page < a.reach.page {
			return ids, false, nil
		}
		oldest := ids[len(ids)-1].ObjectID()
		if oldest.Timestamp().Before(horizon) {
			break
		}
		filter = bson.D{{Key: "$gt", Value: bson.NilObjectID}, {Key: "$lt", Value: oldest}}
	}
	return ids, true, nil
}

// page returns the next page of documents without a sequence that are older than those
// that recent returns, oldest first. It starts over after the last one.
func (a *adopter) page(ctx context.Context, before bson.RawValue) ([]twin, error) {
	after := a.sweep
	a.sweep = bson.NilObjectID // also after a failure, so that no page holds up the others
	filter := bson.D{{Key: fieldSequence, Value: nil}, {Key: fieldID, Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lt", Value: before}}}}
	docs, err := a.documents(ctx, filter, a.reach.sweep)
	if err == nil && len(docs) == a.reach.sweep {
		copy(a.sweep[:], docs[len(docs)-1].id[1:])
	}
	return docs, err
}

// maxNamed bounds the _ids that one command names.
const maxNamed = 500

// named returns the documents with some _ids. Those that were given a sequence meanwhile
// are missing.
func (a *adopter) named(ctx context.Context, ids []bson.RawValue) ([]twin, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	filter := bson.D{{Key: fieldSequence, Value: nil}, {Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}}
	if len(ids) > maxNamed { // Most of those in between are among them.
		byID := func(a, b bson.RawValue) int { return bytes.Compare(a.Value, b.Value) }
		filter[1].Value = bson.D{{Key: "$gte", Value: slices.MinFunc(ids, byID)}, {Key: "$lte", Value: slices.MaxFunc(ids, byID)}}
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[nameOf(id)] = true
	}
	docs := make([]twin, 0, len(ids))
	return docs, a.eachEvent(ctx, filter, bson.D{{Key: fieldID, Value: 1}}, func(doc bson.Raw) bool {
		if wanted[nameOf(doc.Lookup(fieldID))] {
			docs = append(docs, a.worker(doc))
		}
		return true
	})
}

// worker returns a document as the matching compares it, with only its _id when it is not an
// event.
func (a *adopter) worker(doc bson.Raw) twin {
	t, ok := twinOf(doc)
	if !ok {
		t = twin{id: idOf(doc)}
	}
	t.erased = a.erased.covers(doc)
	return t
}

// documents returns at most limit documents of workers, oldest first.
func (a *adopter) documents(ctx context.Context, filter bson.D, limit int) (docs []twin, err error) {
	err = a.eachEvent(ctx, filter, bson.D{{Key: fieldID, Value: 1}}, func(doc bson.Raw) bool {
		docs = append(docs, a.worker(doc))
		return len(docs) < limit
	})
	return docs, err
}

// unpaired returns the workers' documents that are in no pair.
func unpaired(workers []twin, pairs []pair) []twin {
	taken := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		taken[string(p.worker.id)] = true
	}
	return slices.DeleteFunc(slices.Clone(workers), func(t twin) bool { return taken[string(t.id)] })
}

// free returns the pairs whose record is in none of the others.
func free(pairs, others []pair) []pair {
	taken := make(map[string]bool, len(others))
	for _, p := range others {
		taken[string(p.record.id)] = true
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return taken[string(p.record.id)] })
}

// unadopted matches what filter matches, except adopted documents.
func unadopted(filter bson.D) bson.D {
	return append(filter[:len(filter):len(filter)], bson.E{Key: fieldLogStoredAt, Value: nil})
}

const (
	// narrowWindow is about the documents' times, for the first look for their records.
	narrowWindow = 10 * time.Second
	// maxSpans bounds the spans of time that one command asks for.
	maxSpans = 16
)

// narrowFilter matches the records that were emitted at about the time of the workers'
// documents. The index on jobId and emittedAt serves it. Documents of different times have
// a span of their own each, so that one old document does not make MongoDB read
// everything that has come since.
func narrowFilter(workers []twin) bson.D {
	timed := slices.DeleteFunc(slices.Clone(workers), func(t twin) bool { return t.emitted.IsZero() })
	slices.SortFunc(timed, func(a, b twin) int { return a.emitted.Compare(b.emitted) })
	spans := bson.A{}
	for len(timed) > 0 {
		end := 1
		for end < len(timed) && (len(spans) == maxSpans-1 || timed[end].emitted.Sub(timed[end-1].emitted) <= 2*narrowWindow) {
			end++
		}
		jobs := make([]string, 0, end)
		for _, t := range timed[:end] {
			jobs = append(jobs, t.key.jobID)
		}
		at := span{timed[0].emitted.Add(-narrowWindow), timed[end-1].emitted.Add(narrowWindow)}
		spans = append(spans, bson.D{{Key: fieldJobID, Value: oneOf(jobs)}, {Key: fieldEmittedAt, Value: at.asText()}})
		timed = timed[end:]
	}
	if len(spans) == 0 {
		return bson.D{{Key: fieldJobID, Value: oneOf(nil)}}
	}
	return bson.D{{Key: "$or", Value: spans}, {Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}}}
}

// wideFilter matches all records that are near one of the workers' documents. The index
// on jobId, sequence and epoch serves it.
func wideFilter(workers []twin) bson.D {
	var jobs []string
	var emitted, made span
	for _, t := range workers {
		jobs = append(jobs, t.key.jobID)
		if !t.emitted.IsZero() {
			emitted.add(t.emitted.Add(-twinWindow))
			emitted.add(t.emitted.Add(twinWindow))
		}
		if !t.stored.IsZero() {
			made.add(t.stored.Add(-lateWindow))
			made.add(t.stored.Add(twinWindow))
		}
	}
	return bson.D{
		{Key: fieldJobID, Value: oneOf(jobs)},
		{Key: fieldSequence, Value: bson.D{{Key: "$gt", Value: int64(0)}}},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: fieldEmittedAt, Value: emitted.asText()}},
			bson.D{{Key: fieldCreatedAt, Value: made.asDates()}},
			// An adopted document has the worker's times.
			bson.D{{Key: fieldLogStoredAt, Value: made.asDates()}},
		}},
	}
}

// oneOf matches one of the values.
func oneOf(values []string) bson.D {
	slices.Sort(values)
	return bson.D{{Key: "$in", Value: append([]string{}, slices.Compact(values)...)}}
}

// span is a time from one moment to another. The zero one matches nothing.
type span struct{ from, to time.Time }

// add makes the span include at.
func (s *span) add(at time.Time) {
	if s.from.IsZero() || at.Before(s.from) {
		s.from = at
	}
	if at.After(s.to) {
		s.to = at
	}
}

func (s span) asText() bson.D {
	if s.from.IsZero() {
		return bson.D{{Key: "$gte", Value: ""}, {Key: "$lte", Value: ""}}
	}
	return bson.D{{Key: "$gte", Value: messaging.FormatTime(s.from)}, {Key: "$lte", Value: messaging.FormatTime(s.to)}}
}

func (s span) asDates() bson.D {
	return bson.D{{Key: "$gte", Value: s.from}, {Key: "$lte", Value: s.to}}
}
