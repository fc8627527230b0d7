package maintain

import (
	"context"

	"github.com/letswriteabook/realtime/messaging"
)

// The bounds of the batches of [Log.AppendAll]: below fewest, single appends cost less
// than the staging of a batch.
const (
	fewestInBatch    = 16
	appendBatchBytes = 4 << 20
)

// AppendAll stores records in the order given, in batches where the server has them, and
// retries until ctx ends. The error is that of [eventstore.Log.Append] for the first record that is
// not stored; the ones before it are.
func (l *Log) AppendAll(ctx context.Context, records []messaging.Record) error {
	for len(records) > 0 {
		count, bytes := 0, 0
		for count < min(len(records), max(l.MaxBatch(), 1)) && (count == 0 || bytes+len(records[count].Body) <= appendBatchBytes) {
			bytes += len(records[count].Body)
			count++
		}
		if err := l.appendChunk(ctx, records[:count]); err != nil {
			return err
		}
		records = records[count:]
	}
	return nil
}

// appendChunk stores the records of one batch, one by one where the batch was refused or
// its outcome is unknown.
func (l *Log) appendChunk(ctx context.Context, records []messaging.Record) error {
	if len(records) >= fewestInBatch {
		if _, err := l.AppendBatch(ctx, records); err == nil {
			return nil
		}
	}
	for _, record := range records {
		if _, err := l.Append(ctx, record); err != nil {
			return err
		}
	}
	return nil
}
