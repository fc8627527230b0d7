package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// lastBatch is how many jobs one request for last sequences names. A server
// answers at most 1024, and each answer brings the record along.
const lastBatch = 256

// pageBytes bounds the bodies of one page that is read forwards. The record that
// reaches it is the page's last.
const pageBytes = 1 << 20

// ReadAfter returns the job's records with a sequence greater than after, in
// ascending order, at most limit of them. It ends early, with one record at
// least, once their bodies come to 1 MiB: only a page without any means that
// there were no more when the log was asked.
func (l *Log) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return nil, err
	}
	records, err := l.readRange(ctx, subject, after, math.MaxUint64, limit, pageBytes)
	if err != nil {
		return nil, fmt.Errorf("read %s after %d: %w", subject, after, err)
	}
	return records, nil
}

// Range names records of the log.
type Range struct {
	// JobID limits the range to one job; empty means all jobs.
	JobID string
	// After and Before are the sequences between which the records lie, both excluded.
	// [math.MaxUint64] as Before means up to the end of the log.
	After, Before uint64
	// Limit is how many records are read at most.
	Limit int
}

// Read returns the first records of a range in ascending order. Like [Log.ReadAfter] it
// ends early once their bodies come to 1 MiB.
func (l *Log) Read(ctx context.Context, r Range) ([]messaging.Record, error) {
	subject := layout.EventPrefix + ">"
	if r.JobID != "" {
		var err error
		if subject, err = layout.EventSubject(r.JobID); err != nil {
			return nil, err
		}
	}
	return l.readRange(ctx, subject, r.After, r.Before, r.Limit, pageBytes)
}

// replicaTries is how often a range is read again that the answering replica has and
// cannot read: the next answer comes from any of them.
const replicaTries = 12

// readRange returns at most limit records of a subject with a sequence in
// (after, before), ascending; so that math.MaxUint64 means without an end. It
// ends early with the record whose body brings them all to maxBytes.
//
// A server leaves out of its answer what its disk has damaged, and counts it. That shows
// at the end of the subject; then a replicated log is asked again.
func (l *Log) readRange(ctx context.Context, subject string, after, before uint64, limit, maxBytes int) ([]messaging.Record, error) {
	records, lacks, err := l.readOnce(ctx, subject, after, before, limit, maxBytes)
	if lacks == 0 || err != nil {
		return records, err
	}
	l.damageLog.Do(func() {
		l.logger.Warn("a server counts records that it leaves out of its answer: it is behind, or its disk has damaged them: realtime doctor --deep shows which",
			"records", lacks, "after", after)
	})
	if l.Settings().Replicas <= 1 {
		return records, nil
	}
	for range replicaTries {
		again, lacks, err := l.readOnce(ctx, subject, after, before, limit, maxBytes)
		if err != nil {
			return nil, err
		}
		if len(again) > len(records) {
			records = again
		}
		if lacks == 0 {
			break
		}
	}
	return records, nil
}

// readOnce is readRange for the servers that happen to answer. lacks is how many records
// they have at the end of the subject, and cannot read.
func (l *Log) readOnce(ctx context.Context, subject string, after, before uint64, limit, maxBytes int) (records []messaging.Record, lacks uint64, err error) {
	if after == math.MaxUint64 {
		return nil, 0, nil // Nothing follows, and the sequence after it would be 0.
	}
	epoch := l.Epoch()
	for size := 0; len(records) < limit && size < maxBytes; {
		request := jet.Request{
			Sequence: after + 1, Next: subject, Batch: limit - len(records), MaxBytes: min(jet.BatchBytes, maxBytes-size),
		}
		last, pending := after, uint64(0)
		err := l.client.Batch(ctx, layout.EventStream, request, func(found jet.Message) {
			last, pending = found.Sequence, found.Pending
			if found.Sequence >= before || size >= maxBytes {
				return
			}
			if record, ok := l.decoded(found, epoch); ok {
				records, size = append(records, record), size+len(record.Body)
			}
		})
		if err != nil {
			return nil, 0, err
		}
		if last == after {
			return records, lacks, nil
		}
		if pending == 0 || last+1 >= before {
			return records, 0, nil
		}
		after, lacks = last, pending
	}
	return records, 0, nil
}

// decoded returns the record of a message, or false for one that somebody else
// put under the subjects of the log: it is counted, and never stops a reader.
func (l *Log) decoded(found jet.Message, epoch string) (decoded messaging.Record, ok bool) {
	// A message over which this panics is left out, as one that is not a record:
	// otherwise it would keep its readers from what follows it.
	defer l.guard.Recover("decoding", func() { decoded, ok = messaging.Record{}, false })
	record, err := layout.Record(found, epoch)
	if err != nil {
		l.metrics.foreign.Inc()
		l.logger.Debug("message in the log is not a record", "sequence", found.Sequence, "error", err)
		return messaging.Record{}, false
	}
	return record, true
}

// LastSequence returns the sequence of the job's newest record, 0 when it has
// none. The leader of the stream answers.
func (l *Log) LastSequence(ctx context.Context, jobID string) (uint64, error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return 0, err
	}
	found, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Last: subject})
	if errors.Is(err, jet.ErrNotFound) {
		if found.Sequence, err = l.newestReadable(ctx, subject); err == nil {
			return found.Sequence, nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read the last sequence of %s: %w", subject, err)
	}
	if _, ok := l.decoded(found, ""); !ok {
		return l.lastRecord(ctx, jobID, subject)
	}
	return found.Sequence, nil
}

// LastSequenceFrom is [Log.LastSequence] for a caller that knows the sequence of a record
// of the job that the log has, or had. It reads no record if there is no newer one, and
// returns known then. The leader of the stream answers.
func (l *Log) LastSequenceFrom(ctx context.Context, jobID string, known uint64) (uint64, error) {
	subject, err := layout.EventSubject(jobID)
	if err != nil {
		return 0, err
	}
	if known == math.MaxUint64 {
		return known, nil
	}
	_, err = l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: known + 1, Next: subject})
	switch {
	case errors.Is(err, jet.ErrNotFound):
		return known, nil
	case err != nil:
		return 0, fmt.Errorf("read the last sequence of %s: %w", subject, err)
	}
	return l.LastSequence(ctx, jobID)
}

// newestReadable is the last sequence of a subject of which the server says that it has
// no last message, 0 when there is none. It says so, too, of a message that its disk has
// damaged: then everything before that is read, to find what can be.
func (l *Log) newestReadable(ctx context.Context, subject string) (last uint64, err error) {
	if first, err := l.probe(ctx, subject, 1); err != nil || first.count == 0 {
		return 0, err
	}
	return l.newestAfter(ctx, subject, 0, math.MaxUint64)
}

// newestAfter reads the records of a subject with a sequence in (after, before), and returns
// the sequence of the last one, 0 if there is none.
func (l *Log) newestAfter(ctx context.Context, subject string, after, before uint64) (last uint64, err error) {
	for {
		records, err := l.readRange(ctx, subject, max(after, last), before, lastBatch, pageBytes)
		if err != nil || len(records) == 0 {
			return last, err
		}
		last = records[len(records)-1].Sequence
	}
}

// lastRecord is [Log.LastSequence] for a job whose newest message is no record: a
// reader that had to reach that one would never arrive. It looks at ever more of
// the newest messages, a page at a time.
func (l *Log) lastRecord(ctx context.Context, jobID, subject string) (last uint64, err error) {
	before := uint64(math.MaxUint64)
	for count := 16; ; count *= 4 {
		span, err := l.Locate(ctx, jobID, before, min(count, maxSkip))
		if err != nil || span.First == 0 {
			return 0, err
		}
		last, err = l.newestAfter(ctx, subject, span.First-1, span.Last+1)
		if err != nil || last > 0 || !span.Older {
			return last, err
		}
		before = span.First
	}
}

// LastSequences returns the sequence of the newest record of each job; a job
// that has none is absent. Any replica may answer: a sequence may be older than
// the newest, and is never newer. The jobs are asked for in batches, and an
// error ends it with what was learned until then.
func (l *Log) LastSequences(ctx context.Context, jobIDs []string) (map[string]uint64, error) {
	sequences := make(map[string]uint64, len(jobIDs))
	for start := 0; start < len(jobIDs); start += lastBatch {
		jobs := make(map[string]string, lastBatch) // By subject.
		for _, jobID := range jobIDs[start:min(start+lastBatch, len(jobIDs))] {
			subject, err := layout.EventSubject(jobID)
			if err != nil {
				return sequences, err
			}
			jobs[subject] = jobID
		}
		if err := l.lastOf(ctx, jobs, sequences); err != nil {
			return sequences, fmt.Errorf("read the last sequences of %d jobs: %w", len(jobs), err)
		}
	}
	return sequences, nil
}

// lastOf asks until every subject has been answered for: a server stops an
// answer that grows beyond the bytes that were asked for.
func (l *Log) lastOf(ctx context.Context, jobs map[string]string, sequences map[string]uint64) error {
	for len(jobs) > 0 {
		request := jet.Request{MaxBytes: jet.BatchBytes, LastOf: make([]string, 0, len(jobs))}
		for subject := range jobs {
			request.LastOf = append(request.LastOf, subject)
		}
		var pending uint64
		var unclear []string // the newest message is no record
		err := l.client.Batch(ctx, layout.EventStream, request, func(found jet.Message) {
			pending = found.Pending
			jobID, asked := jobs[found.Subject]
			if !asked {
				return
			}
			delete(jobs, found.Subject)
			if _, ok := l.decoded(found, ""); ok {
				sequences[jobID] = found.Sequence
			} else {
				unclear = append(unclear, jobID)
			}
		})
		if errors.Is(err, ErrIncomplete) { // One of them may not be readable, and the error does not name it.
			for _, jobID := range jobs {
				unclear = append(unclear, jobID)
			}
			pending, err = 0, nil
		}
		if err != nil {
			return err
		}
		for _, jobID := range unclear {
			last, err := l.LastSequence(ctx, jobID)
			if err != nil {
				return err
			}
			if last > 0 {
				sequences[jobID] = last
			}
		}
		if pending == 0 {
			return nil
		}
	}
	return nil
}

// ValidateJobID returns [ErrInvalidJobID] for what the log cannot have as a job.
func ValidateJobID(jobID string) error {
	if err := messaging.ValidateJobID(jobID); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidJobID, err)
	}
	return nil
}
