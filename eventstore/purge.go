package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	purgeSubject = "$JS.API.STREAM.PURGE."
	// purgeBatch is how many messages one purge removes, about. While the server
	// removes them it takes no others and answers no reads of the stream: 50,000 took
	// it less than a second.
	purgeBatch = 50_000
	// purgeTimeout bounds one request. The server loads each block of the stream that
	// lies between the first and the last message of the subject.
	purgeTimeout = time.Minute
)

// PurgeJob removes the job's records with a sequence of at most through, and returns how
// many there were. It takes seconds where [Log.EraseJob] takes hours, and nobody can
// read the records from the server afterwards; but their bytes stay in the files of the
// stream until the server writes those anew. Of the blocks of the stream, which are
// 4 or 8 MiB, it removes those at once that have nothing else, and those of which half is
// removed within minutes; others stay as they are.
//
// told, if any, is called with the number of those that are gone. A repeat goes on
// where it was interrupted.
func (l *Log) PurgeJob(ctx context.Context, jobID string, through uint64, told func(purged uint64)) (purged uint64, err error) {
	subject, err := eventSubject(jobID)
	if err != nil {
		return 0, err
	}
	for {
		first, err := l.leader(ctx, eventStream, directRequest{Sequence: 1, Next: subject})
		if errors.Is(err, errNotFound) || err == nil && first.sequence > through {
			return purged, nil
		}
		if err != nil {
			return purged, fmt.Errorf("purge %s: %w", subject, err)
		}
		left, err := l.CountJob(ctx, jobID)
		if err != nil {
			return purged, err
		}
		count, err := l.purge(ctx, eventStream, subject, purgeEnd(first.sequence, through, left))
		if err != nil {
			return purged, fmt.Errorf("purge %s: %w", subject, err)
		}
		if count == 0 { // such as while a leader of the stream takes over
			return purged, fmt.Errorf("purge %s: sequence %d is still there: %w", subject, first.sequence, ErrUnavailable)
		}
		if purged += count; told != nil {
			told(purged)
		}
	}
}

// purgeEnd returns the sequence before which the next purge of a subject ends, that has
// count messages from first on: so far from first that [purgeBatch] of them lie before
// it, if they are spread evenly.
func purgeEnd(first, through, count uint64) uint64 {
	end := through
	if end < math.MaxUint64 {
		end++ // the server keeps the sequence that it is given
	}
	if count <= purgeBatch {
		return end
	}
	span := float64(through-first) / float64(count) * purgeBatch
	return min(end, first+max(uint64(span), purgeBatch))
}

// purge removes the messages of a subject before a sequence, and returns how many there
// were.
func (l *Log) purge(ctx context.Context, stream, subject string, before uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	request := struct {
		Subject  string `json:"filter,omitempty"`
		Sequence uint64 `json:"seq,omitempty"`
	}{subject, before}
	payload, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("encode request: %w", err)
	}
	response, err := l.conn.RequestWithContext(ctx, purgeSubject+stream, payload)
	if err != nil {
		return 0, unavailable(err)
	}
	var answer struct {
		Error  *jetstream.APIError `json:"error"`
		Purged uint64              `json:"purged"`
	}
	if err := json.Unmarshal(response.Data, &answer); err != nil {
		return 0, fmt.Errorf("read the answer to a purge: %w", err)
	}
	if answer.Error != nil {
		return 0, unavailable(answer.Error)
	}
	return answer.Purged, nil
}
