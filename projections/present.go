package projections

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Present reports whether the database has any document of the read models. A database
// whose name is mistyped has none. Collections without documents do not count: some
// servers create them when [Store.Exercise] asks for an update.
func (s *Store) Present(ctx context.Context) (bool, error) {
	for _, collection := range []*mongo.Collection{s.events, s.heads} {
		_, err := collection.FindOne(ctx, bson.D{}, options.FindOne().SetProjection(bson.D{{Key: fieldID, Value: 1}})).Raw()
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return false, fmt.Errorf("look for read models in %s: %w", s.events.Database().Name(), err)
		}
	}
	return false, nil
}
