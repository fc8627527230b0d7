package projections_test

import (
	"context"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// TestEraseBesideASwap: a swap puts the shadow into the place of the collection after
// the erasure has dealt with that, and before it comes to the shadow. Nothing of the job
// is left.
func TestEraseBesideASwap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	model, err := b.Model(projections.History)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	document := func(id string) bson.D {
		return bson.D{{Key: "_id", Value: id}, {Key: "jobId", Value: "job"}, {Key: "epoch", Value: "e"}, {Key: "sequence", Value: int64(3)}}
	}
	b.insert(t, b.events(), document("a"))
	shadow := b.events().Name() + "_shadow"
	b.insert(t, b.db.Collection(shadow), document("a"))
	eraser := b.before(t, "delete", shadow, func() {
		if _, err := model.Exchange(context.Background()); err != nil {
			t.Error(err)
		}
	})
	found, err := eraser.EraseJob(t.Context(), "job", messaging.Position{Epoch: "e", Sequence: 9}, nil)
	if err != nil || found.Events != 2 {
		t.Errorf("erased %+v, %v", found, err)
	}
	if left := b.count(t, b.events(), bson.D{{Key: "jobId", Value: "job"}}); left != 0 {
		t.Errorf("%d documents have come back", left)
	}
}
