package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/messaging"
)

// The names of the other collections of a projection.
const (
	shadowSuffix = "_shadow"
	oldInfix     = "_old_"
	oldLayout    = "20060102t150405.000"

	// swapsCollection holds a document for each projection whose swap has begun
	// and not ended: the collections that it has put aside.
	swapsCollection = "novel_projection_swaps"
)

// MongoDB's codes of a collection that is not there, and of one that is.
const (
	codeNamespaceNotFound = 26
	codeNamespaceExists   = 48
)

// Names returns the projections, in the order in which they are shown.
func Names() []string { return []string{History, JobHeads} }

// CheckName returns [ErrNoProjection] for a name that is not one of [Names].
func CheckName(name string) error {
	if slices.Contains(Names(), name) {
		return nil
	}
	return fmt.Errorf("%w: %.64q, want one of %s", ErrNoProjection, name, strings.Join(Names(), ", "))
}

// Model is one projection for those who rebuild it: its collection, its shadow, and the
// collections that were put aside.
// Its methods may be called concurrently, but for those that move collections:
// [Model.DropShadow], [Model.Exchange], [Model.Settle] and [Model.DropOld].
type Model struct {
	name   string
	live   *Store
	shadow *Store
}

// Model returns the projection of that name, or [ErrNoProjection].
func (s *Store) Model(name string) (*Model, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	shadow := *s
	shadow.retries = nil
	database := s.events.Database()
	shadow.events = database.Collection(eventsCollection+shadowSuffix, sure())
	shadow.heads = database.Collection(headsCollection+shadowSuffix, sure())
	return &Model{name: name, live: s, shadow: &shadow}, nil
}

// Name returns the projection's name, which is that of its consumer.
func (m *Model) Name() string { return m.name }

// RebuildConsumer returns the name of the consumer that fills the shadow.
func (m *Model) RebuildConsumer() string { return RebuildConsumer(m.name) }

// RebuildConsumer returns the name of the consumer that fills a projection's shadow.
func RebuildConsumer(projection string) string { return projection + "-rebuild" }

// Collection returns the name of the projection's collection.
func (m *Model) Collection() string { return m.collection(m.live).Name() }

func (m *Model) collection(s *Store) *mongo.Collection {
	if m.name == JobHeads {
		return s.heads
	}
	return s.events
}

// Collections is what MongoDB has of one projection.
type Collections struct {
	// Present says that the projection's collection exists, and Shadow that a shadow does.
	Present, Shadow bool
	// Old are the collections that swaps have put aside, oldest first.
	Old []string
	// Unfinished says that a swap was interrupted: another one ends it.
	Unfinished bool
}

// Collections reads from MongoDB which collections the projection has. It fails with
// [ErrUnavailable].
func (m *Model) Collections(ctx context.Context) (Collections, error) {
	var found Collections
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	err := func() error {
		names, err := m.live.events.Database().ListCollectionNames(ctx, bson.D{})
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			switch {
			case name == m.Collection():
				found.Present = true
			case name == m.Collection()+shadowSuffix:
				found.Shadow = true
			case strings.HasPrefix(name, m.Collection()+oldInfix):
				found.Old = append(found.Old, name)
			}
		}
		aside, err := m.aside(ctx)
		found.Unfinished = len(aside) > 0
		return err
	}()
	if err != nil {
		return Collections{}, fmt.Errorf("look at %s: %w: %w", m.Collection(), ErrUnavailable, err)
	}
	return found, nil
}

// Count returns an estimate of how many documents the collection and the shadow have. Some
// servers count them one by one, so that only ctx bounds its time.
func (m *Model) Count(ctx context.Context) (live, shadow int64, err error) {
	if live, err = m.collection(m.live).EstimatedDocumentCount(ctx); err == nil {
		shadow, err = m.collection(m.shadow).EstimatedDocumentCount(ctx)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count %s: %w: %w", m.Collection(), ErrUnavailable, err)
	}
	return live, shadow, nil
}

// Prepare creates the shadow, with the indexes of the collection, if it is not
// there.
func (m *Model) Prepare(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	name := m.collection(m.shadow).Name()
	err := m.live.events.Database().CreateCollection(bounded, name)
	if err != nil && !hasServerCode(err, codeNamespaceExists) {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if m.name != History {
		return nil
	}
	for i := range indexes {
		if err := m.shadow.insistOnIndex(ctx, i); err != nil {
			return fmt.Errorf("index %s of %s: %w", indexes[i].name, name, err)
		}
	}
	return m.shadow.insertWitness(ctx)
}

// Apply writes records into the shadow as the projection writes them into its
// collection. An error means that some may be missing; a repeat is harmless.
func (m *Model) Apply(ctx context.Context, records []messaging.Record) error {
	if m.name == JobHeads {
		return m.shadow.writeHeads(ctx, records)
	}
	return m.shadow.writeHistory(ctx, records, false)
}

// DropShadow removes the shadow, if there is one.
func (m *Model) DropShadow(ctx context.Context) error {
	return m.drop(ctx, m.collection(m.shadow).Name())
}

// DropOld removes the collections that swaps have put aside, and returns their
// names. It returns [ErrSwapUnfinished] while an interrupted swap needs them.
func (m *Model) DropOld(ctx context.Context) ([]string, error) {
	found, err := m.Collections(ctx)
	if err != nil {
		return nil, err
	}
	if found.Unfinished {
		return nil, fmt.Errorf("drop the old collections of %s: %w", m.name, ErrSwapUnfinished)
	}
	for _, name := range found.Old {
		if err := m.drop(ctx, name); err != nil {
			return nil, err
		}
	}
	return found.Old, nil
}

func (m *Model) drop(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	if err := m.live.events.Database().Collection(name, sure()).Drop(ctx); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

// aside returns the collections that an unfinished swap has put aside.
func (m *Model) aside(ctx context.Context) ([]string, error) {
	var note struct {
		Aside []string `bson:"aside"`
	}
	err := m.swaps().FindOne(ctx, bson.D{{Key: fieldID, Value: m.name}}).Decode(&note)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	return note.Aside, err
}

func (m *Model) setAside(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, m.live.cfg.WriteTimeout)
	defer cancel()
	note := bson.D{{Key: fieldID, Value: m.name}, {Key: "aside", Value: names}, {Key: fieldUpdatedAt, Value: bson.NewDateTimeFromTime(time.Now())}}
	_, err := m.swaps().ReplaceOne(ctx, note[:1], note, options.Replace().SetUpsert(true))
	if err != nil {
		return fmt.Errorf("note the swap of %s: %w", m.name, err)
	}
	return nil
}

func (m *Model) swaps() *mongo.Collection {
	return m.live.events.Database().Collection(swapsCollection, sure())
}

func hasServerCode(err error, code int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(code)
}
