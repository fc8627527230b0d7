package projections_test

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := []messaging.Record{generation(1, "job", chapter(1)), generation(2, "job", chapter(2))}
	for range 2 { // a repeat is harmless, and takes up the collection again
		write, err := b.Collect(t.Context(), "copies")
		if err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	copies := b.db.Collection("copies")
	if count := b.count(t, copies, bson.D{}); count != 2 {
		t.Errorf("%d documents, want 2", count)
	}
	if count := b.count(t, b.events(), bson.D{}); count != 0 {
		t.Errorf("%d documents are in the collection of the projection", count)
	}
	b.insert(t, b.db.Collection("others"), bson.D{{Key: "title", Value: "mine"}})
	for _, name := range []string{"others", "", "novel_job_events", "novel_x", "system.users", "a$b", strings.Repeat("c", 200)} {
		if _, err := b.Collect(t.Context(), name); !errors.Is(err, projections.ErrCollection) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}
