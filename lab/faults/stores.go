package faults

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/projections"
)

// OpenArchive connects to the streams of the trial's log, to save, remove and restore
// them.
func (t *Trial) OpenArchive(ctx context.Context) (*archive.Archive, func(), error) {
	conn, err := eventstore.Connect(ctx, t.natsURL(), eventstore.ConnConfig{Name: "fault run"})
	if err != nil {
		return nil, nil, err
	}
	archive, err := archive.New(conn, "")
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return archive, conn.Close, nil
}

// Models are the trial's read models.
type Models struct {
	*projections.Store
	// Drop removes a collection, as a mistake does.
	Drop func(ctx context.Context, collection string) error
}

// OpenModels connects to the trial's read models.
func (t *Trial) OpenModels(ctx context.Context) (Models, func(), error) {
	db, err := projections.Connect(t.mongoURI())
	if err != nil {
		return Models{}, nil, err
	}
	disconnect := func() { _ = db.Client().Disconnect(context.WithoutCancel(ctx)) }
	store, err := projections.New(db, projections.DefaultConfig(), t.logger, prometheus.NewRegistry())
	if err != nil {
		disconnect()
		return Models{}, nil, err
	}
	drop := func(ctx context.Context, collection string) error { return db.Collection(collection).Drop(ctx) }
	return Models{Store: store, Drop: drop}, disconnect, nil
}

// OpenStores opens the log and the read models, which done closes.
func (t *Trial) OpenStores(ctx context.Context) (log *maintain.Log, models Models, done func(), err error) {
	log, closeLog, err := t.OpenLog(ctx)
	if err != nil {
		return nil, Models{}, nil, err
	}
	models, disconnect, err := t.OpenModels(ctx)
	if err != nil {
		closeLog()
		return nil, Models{}, nil, err
	}
	return log, models, func() { disconnect(); closeLog() }, nil
}
