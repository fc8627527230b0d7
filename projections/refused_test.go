package projections_test

import (
	"context"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// An event that the server refuses in a way of its own is stored in a form that it
// takes, and holds up none of its neighbours.
func TestNoEventHoldsUpItsNeighbours(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bodies := []string{
		chapter(1), `{"type":"t","occurredAt":"o","dup":-0.0,"dup":1}`, chapter(2),
		`{"type":"t","occurredAt":"o","n":-0.0}`, `{"type":"t","occurredAt":"o","deep":[{"dup":1,"dup":[-0.0]}]}`, chapter(3),
	}
	var records []messaging.Record
	for i, body := range bodies {
		records = append(records, generation(uint64(i+1), "job", body))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.WriteHistory(ctx, records, false); err != nil {
		t.Fatalf("%v\n%s", err, b.logs.String())
	}
	page, err := b.ReadAfter(t.Context(), "job", messaging.Position{Epoch: epoch}, 100)
	if err != nil || len(page) != len(records) {
		t.Fatalf("%d records of %d, %v", len(page), len(records), err)
	}
	for i, r := range page {
		if string(r.Body) != string(records[i].Body) {
			t.Errorf("record %d is %s, want %s", i, r.Body, records[i].Body)
		}
	}
}
