package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// askedProjection counts the questions to MongoDB: one in each method but Floor, which
// the log answers.
type askedProjection struct {
	hub.Projection
	asked atomic.Int64
}

func (p *askedProjection) ReadAfter(ctx context.Context, jobID string, after messaging.Position, limit int) ([]messaging.Record, error) {
	p.asked.Add(1)
	return p.Projection.ReadAfter(ctx, jobID, after, limit)
}

func (p *askedProjection) Locate(ctx context.Context, jobID string, before messaging.Position, limit int) (messaging.Span, error) {
	p.asked.Add(1)
	return p.Projection.Locate(ctx, jobID, before, limit)
}

func (p *askedProjection) FindLegacy(ctx context.Context, jobID string, limit int) ([]string, error) {
	p.asked.Add(1)
	return p.Projection.FindLegacy(ctx, jobID, limit)
}

func (p *askedProjection) ReadLegacy(ctx context.Context, jobID string, names []string) ([]messaging.Record, int, error) {
	p.asked.Add(1)
	return p.Projection.ReadLegacy(ctx, jobID, names)
}

func (p *askedProjection) Head(ctx context.Context, jobID string) (messaging.JobHead, bool, error) {
	p.asked.Add(1)
	return p.Projection.Head(ctx, jobID)
}

// TestFreshJobDoesNotWaitForMongo: 200 clients subscribe to a job without records, one
// after the other, and an event is published, while MongoDB takes 100 ms for each answer.
// The event does not wait for MongoDB, which is asked twice for all of them. Where the log
// has removed records, MongoDB may have some of the job: the event waits for one answer.
func TestFreshJobDoesNotWaitForMongo(t *testing.T) {
	t.Parallel()
	const answer = 100 * time.Millisecond
	for _, c := range []struct {
		name    string
		removed bool
		wait    time.Duration // of the first live event, less than this
		asked   int64
	}{
		{"the log is whole", false, answer, 2},
		{"the log has removed records", true, 2 * answer, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newMemoryLog()
				reads := &askedProjection{Projection: memoryProjection{log}}
				s := setup(t, options{pipe: true, config: unhurried, log: log, reads: reads})
				if c.removed {
					log.publish("another", 3)
					log.set(func(l *memoryLog) { l.retain(3) })
				}
				log.set(func(l *memoryLog) { l.mongoHangs = answer })
				const clients = 200
				var viewers []*socketClient
				for range clients {
					viewers = append(viewers, s.connect())
				}
				for _, viewer := range viewers {
					viewer.subscribe("job")
					time.Sleep(100 * time.Microsecond)
				}
				synctest.Wait()
				published := time.Now()
				sequence := log.publish("job", 1)
				var waits []time.Duration
				for _, viewer := range viewers {
					expectEvents(t, viewer, sequence)
					waits = append(waits, time.Since(published))
				}
				slices.Sort(waits)
				for _, viewer := range viewers {
					expect(t, viewer, messaging.EventCaughtUp)
				}
				t.Logf("first live event after p50 %s, max %s; %d questions to MongoDB", waits[clients/2], waits[clients-1], reads.asked.Load())
				if most := waits[clients-1]; most >= c.wait {
					t.Errorf("a first live event came after %s", most)
				}
				if n := reads.asked.Load(); n > c.asked {
					t.Errorf("MongoDB was asked %d times", n)
				}
			})
		})
	}
}

// TestOwedHistory: what only MongoDB has of a job without records reaches each of its
// subscriptions once: before the live events, if MongoDB answers before one is
// published; otherwise after those.
func TestOwedHistory(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("published before the answer: %t", early), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := newMemoryLog()
				s := setup(t, options{pipe: true, config: unhurried, log: log})
				log.set(func(l *memoryLog) {
					l.mongoHangs = 100 * time.Millisecond
					for i := range uint64(3) {
						l.legacy["job"] = append(l.legacy["job"], legacyStatus("job", emittedAt(i)))
					}
				})
				first, second := s.connect(), s.connect()
				for _, c := range []*socketClient{first, second} {
					c.subscribe("job")
				}
				synctest.Wait()
				if !early {
					time.Sleep(time.Second)
				}
				log.publish("job", 2)
				synctest.Wait()
				for _, c := range []*socketClient{first, second} {
					if early {
						expectEvents(t, c, 1, 2)
					}
					expectOlder(t, c, 3)
					if early {
						expectCaughtUp(t, c, 0, 2, 3, messaging.SourceMongoDB)
					} else {
						expectCaughtUp(t, c, 0, 0, 3, messaging.SourceMongoDB)
						expectEvents(t, c, 1, 2)
					}
				}
				log.publish("job", 1)
				third := s.connect()
				third.subscribe("job")
				expectOlder(t, third, 3)
				expectEvents(t, third, 1, 2, 3)
				for _, c := range []*socketClient{first, second} {
					expectEvents(t, c, 3)
				}
			})
		})
	}
}

// TestStatusIsNotShownInPlaceOfAnEvent: a client that subscribes after an event was stored
// is shown the event, and not the last known status in its place, although the gateway has
// still to receive the event. It does not matter whether MongoDB was asked for the status
// before, for another client, or is being asked.
func TestStatusIsNotShownInPlaceOfAnEvent(t *testing.T) {
	t.Parallel()
	for _, asking := range []bool{false, true} {
		t.Run(fmt.Sprintf("MongoDB is being asked: %t", asking), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, options{pipe: true, config: unhurried})
				s.log.set(func(l *memoryLog) {
					l.heads["job"] = messaging.JobHead{Status: "completed", EmittedAt: emittedAt(7)}
					l.mongoHangs = 100 * time.Millisecond
				})
				first, second := s.connect(), s.connect()
				first.subscribe("job")
				if asking {
					synctest.Wait()
				} else {
					expect(t, first, messaging.EventJobStatus)
					expectCaughtUp(t, first, 0, 0, 1, messaging.SourceAggregate)
				}
				s.log.set(func(*memoryLog) { s.tail.held = make(chan struct{}) })
				s.log.publish("job", 1)
				second.subscribe("job")
				expectEvents(t, second, 1)
				expect(t, second, messaging.EventCaughtUp)
			})
		})
	}
}

// expectOlder takes n documents of older writers.
func expectOlder(t testing.TB, c client, n uint64) {
	t.Helper()
	for i := range n {
		if m := expect(t, c, messaging.EventJobStatus); m.Sequence != 0 || m.EmittedAt != emittedAt(i) {
			t.Fatalf("got %s, want document %d of an older writer", m.Raw, i)
		}
	}
}
