package scenario

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/messaging"
)

// historyCollection is where gateways look for history (contract, section 4).
const historyCollection = "novel_job_events"

// seedMongo writes the history of a plan as a worker of before did, straight into
// MongoDB: documents without a sequence, a second apart.
func (t *trial) seedMongo(ctx context.Context, p *plan) error {
	parsed, err := connstring.ParseAndValidate(t.cfg.MongoURI)
	if err != nil {
		return fmt.Errorf("mongoUri is %q: want a MongoDB address", address.Shown(t.cfg.MongoURI)) // The cause would repeat it.
	}
	if parsed.Database == "" {
		return fmt.Errorf("mongoUri: it names no database")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(t.cfg.MongoURI))
	if err != nil {
		return fmt.Errorf("mongoUri: %w", err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // nothing is under way
	p.begin(0)
	now := time.Now()
	documents := make([]any, p.total)
	for n := range documents {
		at := messaging.FormatTime(now.Add(time.Duration(n-p.total) * time.Second))
		documents[n] = bson.M{
			"jobId": p.jobs[n%len(p.jobs)], "kind": string(messaging.KindDomain), "emittedAt": at, "createdAt": now, "updatedAt": now,
			"event": bson.M{"type": "loadtest", "occurredAt": at, "number": n / len(p.jobs)},
		}
	}
	if _, err := client.Database(parsed.Database).Collection(historyCollection).InsertMany(ctx, documents); err != nil {
		return fmt.Errorf("seed %s: %w", historyCollection, err)
	}
	return nil
}
