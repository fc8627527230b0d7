package projections

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/messaging"
)

// The names of the projections' durable consumers.
const (
	History  = "history"
	JobHeads = "job-heads"
)

// The collections.
const (
	eventsCollection = "novel_job_events"
	headsCollection  = "novel_job_heads"
	jobsCollection   = "novel_jobs"
)

// Log feeds the projections.
type Log interface {
	// Consume calls apply with the records after what consumer has acknowledged,
	// at most maxBatch at a time and one call at a time, and acknowledges them
	// when it returns nil. After an error it offers the same records again,
	// later. It returns when ctx ends.
	Consume(ctx context.Context, consumer string, maxBatch int,
		apply func(ctx context.Context, records []messaging.Record) error) error
	// ConsumerFresh reports whether nothing has been acknowledged yet on an existing
	// consumer.
	ConsumerFresh(ctx context.Context, consumer string) (bool, error)
}

// Store writes and reads the projections. It is safe for concurrent use.
type Store struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	guard   *contain.Guard
	tracer  Tracer // nil without traces

	client *mongo.Client
	events *mongo.Collection
	heads  *mongo.Collection
	jobs   *mongo.Collection

	workers  *workersJobs
	updates  *atomic.Int64 // per command, see updatesPerCommand; 0 before the first
	standing *standing
	retries  *retries // nil where [Store.Run] is not for the store's collections
	// unprojected is what the log has beyond the history; nil for nothing.
	unprojected Unprojected
	// erasures are those that the store honours; nil for none.
	erasures Erasures
}

// New returns a store of the projections in db. It does no I/O: MongoDB may be
// down.
func New(db *mongo.Database, cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return &Store{
		cfg:     cfg,
		logger:  logger,
		metrics: metrics,
		guard:   contain.New(metrics.panics, logger),
		client:  db.Client(),
		events:  db.Collection(eventsCollection, sure()),
		heads:   db.Collection(headsCollection, sure()),
		jobs:    db.Collection(jobsCollection, sure()),
		workers: newWorkersJobs(), updates: new(atomic.Int64), standing: &standing{why: make(map[string]error)},
		retries: newRetries(),
	}, nil
}

// sure are the options of every collection. They override the connection string: a batch
// is acknowledged in the log when no failover can undo it, and a page is read from the
// primary, which does not lag.
func sure() *options.CollectionOptionsBuilder {
	return options.Collection().
		SetWriteConcern(writeconcern.Majority()).
		SetReadPreference(readpref.Primary())
}

// Run makes the indexes and applies the log to both projections until ctx ends;
// then it returns nil. It returns an error when the log cannot be consumed. It must not be
// called again while it runs; several processes may run the same projections.
func (s *Store) Run(ctx context.Context, log Log) error {
	// All of them are stopped by ctx, or by the first that fails.
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.guard.Persist(groupCtx, "indexes", func() error {
			s.ensureIndexes(groupCtx)
			return nil
		})
	})
	group.Go(func() error {
		return s.guard.Persist(groupCtx, "adopter", func() error {
			s.newAdopter().run(groupCtx)
			return nil
		})
	})
	group.Go(func() error {
		return s.guard.Persist(groupCtx, "omitted records", func() error {
			s.restoreOmitted(groupCtx)
			return nil
		})
	})
	for _, p := range []*projection{
		s.newProjection(History, s.writeWitnessed(log)),
		s.newProjection(JobHeads, s.writeHeads),
	} {
		group.Go(func() error {
			return s.guard.Persist(groupCtx, "consumer "+p.name, func() error {
				if err := log.Consume(groupCtx, p.name, s.cfg.MaxBatch, p.apply); err != nil {
					return fmt.Errorf("consume the log as %q: %w", p.name, err)
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Ping asks MongoDB whether it is there. The error matches [ErrUnavailable].
func (s *Store) Ping(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	if err := s.client.Ping(bounded, readpref.Primary()); err != nil {
		return fmt.Errorf("ping MongoDB: %w: %w", ErrUnavailable, Explain(ctx, err))
	}
	return nil
}
