package projections

import (
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// DefaultDatabase is used when the connection string names no database.
const DefaultDatabase = "realtime"

// Connect returns the database that the connection string names. It does not
// wait for MongoDB, which may be down. The client's goroutines run until its
// Disconnect, which is the caller's to call.
// It returns [ErrInvalidURI] for a string that the driver does not take.
func Connect(uri string) (*mongo.Database, error) {
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidURI, err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetAppName("realtime"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidURI, err)
	}
	name := parsed.Database
	if name == "" {
		name = DefaultDatabase
	}
	return client.Database(name), nil
}
