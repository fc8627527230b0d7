package projections_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// TestEraseInPieces removes a long job in several commands, tells how far it is, and goes
// on after an interruption. What is not erased stays.
func TestEraseInPieces(t *testing.T) {
	t.Parallel()
	b := setup(t)
	document := func(job string, fields ...bson.E) any {
		return append(bson.D{{Key: "jobId", Value: job}}, fields...)
	}
	at := func(epoch string, sequence int64) []bson.E {
		return []bson.E{{Key: "epoch", Value: epoch}, {Key: "sequence", Value: sequence}}
	}
	const through = 1_000_000
	var gone, kept []any
	for i := range int64(1200) {
		gone = append(gone, document("long", at("e", i*7)...))                   // dense
		gone = append(gone, document("long", at("before", through+i*90_000)...)) // of an earlier epoch, and longer
	}
	for i := range int64(20) {
		gone = append(gone, document("long", at("e", through-i*45_000)...)) // sparse
		gone = append(gone, document("long"))                               // of older writers
		kept = append(kept, document("long", at("e", through+1+i)...), document("other", at("e", i)...), document("other"))
	}
	if _, err := b.events().InsertMany(t.Context(), append(append([]any{}, gone...), kept...)); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var first uint64
	_, err := b.EraseJob(ctx, "long", messaging.Position{Epoch: "e", Sequence: through}, func(removed uint64) {
		first = removed
		cancel()
	})
	if !errors.Is(err, projections.ErrUnavailable) || first == 0 || first >= uint64(len(gone)) {
		t.Fatalf("interrupted after %d documents: %v", first, err)
	}
	var last uint64
	found, err := b.EraseJob(t.Context(), "long", messaging.Position{Epoch: "e", Sequence: through}, func(removed uint64) {
		if removed <= last {
			t.Errorf("told %d after %d", removed, last)
		}
		last = removed
	})
	if err != nil || found.Events != uint64(len(gone))-first || last != found.Events {
		t.Errorf("removed %+v of %d, told %d; %v", found, uint64(len(gone))-first, last, err)
	}
	for job, want := range map[string]int64{"long": 20, "other": 40} {
		if left := b.count(t, b.events(), bson.D{{Key: "jobId", Value: job}}); fmt.Sprint(left) != fmt.Sprint(want) {
			t.Errorf("%s has %d documents, want %d", job, left, want)
		}
	}
}
