package projections_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/projections"
)

// TestAdoptionWithASlowMongo: while a worker writes each of its events itself, and MongoDB
// takes 50 ms for each command of the gateway, a program that reads the collection sees
// each event twice for a short time. How short is logged: FerretDB takes some 20 ms for
// each document that it changes, where MongoDB takes 500 with a command.
func TestAdoptionWithASlowMongo(t *testing.T) {
	t.Parallel()
	const events, perSecond = 60, 20
	b := setup(t)
	line, uri := mongokit.NewDelay(t, mongokit.URI())
	line.Set(50 * time.Millisecond)
	db, err := projections.Connect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Client().Disconnect(context.Background()) })
	gateway := b
	if gateway.Store, err = projections.New(db.Client().Database(b.db.Name()), patient(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	gateway.running(t, newFeed())
	records, docs := publishedAndWritten(t, events, 3)
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range records {
		<-tick.C
		b.insert(t, b.events(), docs[i])
		if err := b.WriteHistory(t.Context(), records[i:i+1], false); err != nil {
			t.Fatal(err)
		}
	}
	wrote := time.Now()
	eventually(t, "each event once", func() bool { return b.count(t, b.events(), bson.D{}) == events })
	t.Logf("each of %d events stands once %s after the last was written", events, time.Since(wrote).Round(time.Millisecond))
}
