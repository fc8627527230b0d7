package projections

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// canaryCollection has the canaries that are on their way. A canary is not written into the
// collection of its projection, where every program that counts documents would count it.
// The collection is empty but for the moment between the write and the removal of a canary.
const canaryCollection = "novel_projection_canary"

const (
	// canaryLeft is the age from which on a canary was left by a process that was killed.
	canaryLeft = time.Hour
	// canaryFailures is how many canaries in succession must fail: a failover of MongoDB
	// between two exercises fails one.
	canaryFailures = 2
)

// ErrCanary is returned when a projection does not carry a canary into MongoDB.
var ErrCanary = errors.New("the projection does not write")

// Passage carries canaries through one projection: the goroutine that writes the batches of
// the projection writes them, reads them back and removes them, between two batches. At most
// one is on its way. Its methods may be called concurrently.
type Passage struct {
	store *Store
	name  string
	// inTurn has the consumer of the projection call f between two batches.
	inTurn func(consumer string, f func(ctx context.Context))

	mu sync.Mutex // guards the fields below
	// offered is when the canary that is on its way was offered; zero when none is.
	offered time.Time
	// failures counts the last canaries that failed in succession, failed is when the last
	// of them did, and why is its error.
	failures int
	failed   time.Time
	why      error
}

// Passage returns the passage through a projection of the store, to whose consumer inTurn
// belongs.
func (s *Store) Passage(projection string, inTurn func(consumer string, f func(ctx context.Context))) *Passage {
	return &Passage{store: s, name: projection, inTurn: inTurn}
}

// Exercise offers a canary with a new text, unless one is on its way, and does not wait for
// it: it returns what became of the earlier ones. The error matches [ErrCanary] when the
// projection has not taken its turn for patience, or when MongoDB refused the last canaries.
// well is for how long the log and MongoDB have met the other needs; nothing counts that was
// before that.
func (p *Passage) Exercise(text string, well, patience time.Duration) error {
	p.mu.Lock()
	now := time.Now()
	if now.Sub(p.failed) > well {
		p.failures = 0
	}
	var err error
	if p.failures >= canaryFailures {
		err = fmt.Errorf("%w: %q cannot insert into %s.%s, while MongoDB takes other writes: see the rights of the user of MONGODB_URI, and its log: %w",
			ErrCanary, p.name, p.store.events.Database().Name(), canaryCollection, p.why)
	}
	waits := !p.offered.IsZero()
	if waits && min(now.Sub(p.offered), well) >= patience {
		err = fmt.Errorf("%w: %q has not taken its turn for %s: restart the gateways with the role project", ErrCanary, p.name, now.Sub(p.offered).Round(time.Second))
	}
	if !waits {
		p.offered = now
	}
	p.mu.Unlock()
	if !waits {
		p.inTurn(p.name, func(ctx context.Context) {
			p.note(ctx, p.store.guard.Do("canary of "+p.name, func() error { return p.store.passCanary(ctx, p.name, text) }))
		})
	}
	return err
}

// note takes in what became of the canary that was on its way.
func (p *Passage) note(ctx context.Context, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered = time.Time{}
	switch {
	case err == nil:
		p.failures = 0
	case ctx.Err() == nil: // else the process stops, which says nothing of MongoDB
		p.failures, p.failed, p.why = p.failures+1, time.Now(), err
	}
}

// passCanary inserts a canary as a projection inserts its documents, reads it back from the
// primary, and removes it and those that other processes left.
func (s *Store) passCanary(ctx context.Context, projection, text string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	canaries := s.events.Database().Collection(canaryCollection, sure())
	now := time.Now()
	own := bson.D{{Key: fieldID, Value: projection + "-" + text}}
	doc := bson.D{own[0], {Key: "canary", Value: text}, {Key: "at", Value: bson.NewDateTimeFromTime(now)}}
	_, refused, err := s.insertAll(ctx, canaries, []any{doc})
	if err == nil && len(refused) > 0 {
		err = errRefused
	}
	if err != nil {
		return fmt.Errorf("insert a canary: %w", err)
	}
	left := bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: bson.NewDateTimeFromTime(now.Add(-canaryLeft))}}}}
	defer func() {
		_, failed := canaries.DeleteMany(ctx, bson.D{{Key: "$or", Value: bson.A{own, left}}})
		if failed != nil && err == nil {
			err = fmt.Errorf("remove a canary: %w", failed)
		}
	}()
	found, err := canaries.FindOne(ctx, own).Raw()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return errors.New("a canary that was inserted is not there")
	case err != nil:
		return fmt.Errorf("read a canary: %w", err)
	}
	if got, _ := found.Lookup("canary").StringValueOK(); got != text {
		return errors.New("a canary that was inserted has another text")
	}
	return nil
}
