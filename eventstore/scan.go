package eventstore

import (
	"context"
	"fmt"
	"math"

	"github.com/letswriteabook/realtime/messaging"
)

// scanPage is how many records one page of a scan holds at most; pageBytes
// bounds it too.
const scanPage = 1024

// Scan calls each with the records of all jobs from the first sequence to the
// last, both included, in ascending order. It holds one page at a time. It ends
// with the error of each, or of a read.
func (l *Log) Scan(ctx context.Context, first, last uint64, each func(messaging.Record) error) error {
	end := last
	if end < math.MaxUint64 {
		end++
	}
	for after := max(first, 1) - 1; after < last; {
		records, err := l.readRange(ctx, eventPrefix+">", after, end, scanPage, pageBytes)
		if err != nil {
			return fmt.Errorf("scan the log after %d: %w", after, err)
		}
		if len(records) == 0 {
			return nil
		}
		for _, record := range records {
			if err := each(record); err != nil {
				return err
			}
		}
		after = records[len(records)-1].Sequence
	}
	return nil
}
