package backends

import (
	"fmt"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/projections"
)

// MongoDB returns the database that MONGODB_URI names, or nil without one. It does not
// wait for the server, which may be down. Disconnecting its client closes it.
func MongoDB(cfg config.Config, logger *slog.Logger) (*mongo.Database, error) {
	if cfg.MongoDBURI == "" {
		logger.Warn("MONGODB_URI is not set: there are no read models, and catch-up is served from the log")
		return nil, nil
	}
	db, err := projections.ConnectLogged(cfg.MongoDBURI, logger)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrInvalid, config.Wrong("MONGODB_URI", cfg.MongoDBURI))
	}
	if !projections.NamesDatabase(cfg.MongoDBURI) {
		logger.Warn("MONGODB_URI names no database: MongoDB's default is used", "database", db.Name())
	}
	return db, nil
}
