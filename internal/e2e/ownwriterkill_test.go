package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// TestWorkerWritesItselfWhileAGatewayIsKilled: two gateways project one log, and a worker
// writes its events itself. One gateway is killed at work, whichever has the lease of the
// adoption then. Each event stands once in the end.
func TestWorkerWritesItselfWhileAGatewayIsKilled(t *testing.T) {
	t.Parallel()
	const job, events = "written", 40
	redis, uri := testkit.StartRedis(t), startMongo(t)
	log := startGateway(t, settings{"REDIS_URL": redis.URL(), "ROLES": "ingest", "NATS_LISTEN": "127.0.0.1:0", "NATS_SYNC": "10s"})
	var gateways []*gateway
	for range 2 {
		gateways = append(gateways, startGateway(t, settings{"ROLES": "fanout,project", "NATS_URL": natsURL(log), "MONGODB_URI": uri}))
	}
	client, err := mongo.Connect(mongooptions.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	collection := client.Database(devstack.Database).Collection("novel_job_events")
	for n := 1; n <= events; n++ {
		at := time.Now()
		message := fmt.Sprintf(`{"kind":"domain","jobId":%q,"event":{"type":"chapter.saved","occurredAt":%q,"number":%d}}`, job, messaging.FormatTime(at), n)
		if err := redis.Client().Publish(t.Context(), messaging.EventsChannel, message).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := collection.InsertOne(t.Context(), bson.D{
			{Key: "jobId", Value: job},
			{Key: "kind", Value: "domain"},
			{Key: "emittedAt", Value: messaging.FormatTime(at)},
			{Key: "event", Value: bson.D{{Key: "type", Value: "chapter.saved"}, {Key: "occurredAt", Value: messaging.FormatTime(at)}, {Key: "number", Value: n}}},
			{Key: "createdAt", Value: at},
			{Key: "updatedAt", Value: at},
		}); err != nil {
			t.Fatal(err)
		}
		if n == events/2 {
			// A batch that the killed gateway has not acknowledged would come to the other one ten
			// seconds later.
			eventually(t, "the first half is projected", func() error {
				projected, err := collection.CountDocuments(t.Context(), bson.D{{Key: "jobId", Value: job}, {Key: "sequence", Value: n}})
				if err == nil && projected == 0 {
					err = errors.New("it is not")
				}
				return err
			})
			gateways[0].kill()
		}
	}
	eventually(t, "each event stands once, with a sequence", func() error {
		time.Sleep(200 * time.Millisecond) // FerretDB reads the whole collection each time
		all, err := collection.CountDocuments(t.Context(), bson.D{{Key: "jobId", Value: job}})
		if err != nil {
			return err
		}
		adopted, err := collection.CountDocuments(t.Context(), bson.D{{Key: "jobId", Value: job}, {Key: "logStoredAt", Value: bson.D{{Key: "$exists", Value: true}}}})
		if err == nil && (all != events || adopted != events) {
			err = fmt.Errorf("%d documents, %d of them adopted, of %d events", all, adopted, events)
		}
		return err
	})
}
