package projections_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// objectName is the name of a document that is not there, of type ObjectID.
const objectName = "\x07ABCDEFGHIJKL"

// newestIn is the position after every record of an epoch.
func newestIn(epoch string) messaging.Position {
	return messaging.Position{Epoch: epoch, Sequence: math.MaxUint64}
}

// largestPiece is what the bodies of one answer may come to here: a page, and the
// record that ends it.
const largestPiece = 1<<20 + 300<<10

type legacyReader interface {
	FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error)
	ReadLegacy(ctx context.Context, jobID string, names []string) ([]messaging.Record, int, error)
}

// readLegacy reads what a job has of older writers, piece by piece.
func readLegacy(ctx context.Context, b legacyReader, jobID string, limit int) ([]messaging.Record, error) {
	names, err := b.FindLegacy(ctx, jobID, limit)
	var all []messaging.Record
	for err == nil && len(names) > 0 {
		var piece []messaging.Record
		var taken int
		if piece, taken, err = b.ReadLegacy(ctx, jobID, names); err != nil {
			break
		}
		if taken == 0 || bodies(piece) > largestPiece {
			return nil, fmt.Errorf("a piece of %d documents, %d bytes", taken, bodies(piece))
		}
		all, names = append(all, piece...), names[taken:]
	}
	return all, err
}

func bodies(records []messaging.Record) (size int) {
	for _, record := range records {
		size += len(record.Body)
	}
	return size
}

// TestPiecesBackAreBounded: no answer holds more than a page of bodies, in either
// direction, with a sequence or without, whatever the limit is.
func TestPiecesBackAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const count, large = 16, 200 << 10
	text := strings.Repeat("x", large)
	var all []messaging.Record
	var old []any
	for i := range count {
		padding := text
		if i < count/2 {
			padding = "small" // so that the sizes of the first say little about the others
		}
		all = append(all, generation(uint64(i+1), "j", fmt.Sprintf(`{"type":"t","occurredAt":"o","padding":%q}`, padding)))
		document := legacy("j", fmt.Sprintf("2026-01-01T00:00:%02d.000Z", i), i)
		old = append(old, append(document, bson.E{Key: "padding", Value: padding}))
	}
	b.project(t, newFeed(all...))
	b.insert(t, b.events(), old...)

	var back []uint64
	for at := newestIn(epoch); ; {
		piece, err := b.ReadBefore(t.Context(), "j", at, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(piece) == 0 {
			break
		}
		if bodies(piece) > largestPiece {
			t.Fatalf("a piece of %d records, %d bytes", len(piece), bodies(piece))
		}
		at.Sequence = piece[0].Sequence
		for _, record := range slices.Backward(piece) {
			back = append(back, record.Sequence)
		}
	}
	if len(back) != count || back[0] != count || back[count-1] != 1 || !slices.IsSortedFunc(back, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("read back %v", back)
	}
	records, err := readLegacy(t.Context(), b, "j", projections.MaxLegacy)
	if err != nil || len(records) != count {
		t.Fatalf("%d old events, %v", len(records), err)
	}
	for i, record := range records {
		if want := fmt.Sprintf("2026-01-01T00:00:%02d.000Z", i); record.EmittedAt != want {
			t.Errorf("old event %d is of %s, want %s", i, record.EmittedAt, want)
		}
	}
}
