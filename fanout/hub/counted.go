package hub

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/messaging"
)

// countedLog counts the pages that are read from the log.
type countedLog struct {
	Log
	reads prometheus.Counter
}

// ReadAfter implements Log.
func (l countedLog) ReadAfter(ctx context.Context, jobID string, after uint64, limit int) ([]messaging.Record, error) {
	l.reads.Inc()
	return l.Log.ReadAfter(ctx, jobID, after, limit)
}

// countedProjection counts the pages that are read from MongoDB.
type countedProjection struct {
	Projection
	reads prometheus.Counter
}

// ReadAfter implements Projection.
func (p countedProjection) ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error) {
	p.reads.Inc()
	return p.Projection.ReadAfter(ctx, jobID, after, limit)
}

// ReadBefore implements Projection.
func (p countedProjection) ReadBefore(ctx context.Context, jobID string, before messaging.Position, limit int) ([]messaging.Record, error) {
	p.reads.Inc()
	return p.Projection.ReadBefore(ctx, jobID, before, limit)
}

// FindLegacy implements Projection.
func (p countedProjection) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	p.reads.Inc()
	return p.Projection.FindLegacy(ctx, jobID, limit)
}

// ReadLegacy implements Projection.
func (p countedProjection) ReadLegacy(ctx context.Context, jobID string, names []string) ([]messaging.Record, int, error) {
	p.reads.Inc()
	return p.Projection.ReadLegacy(ctx, jobID, names)
}
