package projections

import (
	"cmp"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// DefaultDatabase is used when the connection string names no database, as MongoDB's
// drivers for JavaScript do, which the workers use.
const DefaultDatabase = "test"

// Connect returns the database that the connection string names, or
// [DefaultDatabase]. It does not
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
	return client.Database(cmp.Or(parsed.Database, DefaultDatabase)), nil
}

// NamesDatabase reports whether a connection string that [Connect] takes names a
// database.
func NamesDatabase(uri string) bool {
	parsed, err := connstring.Parse(uri)
	return err == nil && parsed.Database != ""
}
