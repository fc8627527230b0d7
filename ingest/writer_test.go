package ingest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// moodyLog is a log whose attempts end in every way in which those of a real log may: a
// batch is stored and its answer is lost, nothing is stored, or the batch is stored later
// unless one of its ids is stored first.
type moodyLog struct {
	*memoryLog
	mu    sync.Mutex // guards the fields below
	moods *rand.Rand
	late  [][]messaging.Record
	// counts are how often each outcome has occurred.
	counts map[string]int
}

// mood returns the next outcome, and stores some of the delayed batches.
func (l *moodyLog) mood(ctx context.Context) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.late) > 0 && l.moods.IntN(2) == 0 {
		records := l.late[0]
		l.late = l.late[1:]
		if _, err := l.memoryLog.AppendBatch(ctx, records); err == nil {
			l.counts["stored late"]++
		} else {
			l.counts["refused late"]++
		}
	}
	return l.moods.IntN(10)
}

func (l *moodyLog) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *moodyLog) AppendBatch(ctx context.Context, records []messaging.Record) ([]messaging.Receipt, error) {
	switch l.mood(ctx) {
	case 0: // Lost on the way.
		l.count("lost")
		return nil, errPassing
	case 1:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counts["late"]++
		l.late = append(l.late, records)
		return nil, errPassing
	case 2:
		_, err := l.memoryLog.AppendBatch(ctx, records)
		if err == nil {
			l.count("answer lost")
			err = errPassing
		}
		return nil, err
	}
	receipts, err := l.memoryLog.AppendBatch(ctx, records)
	if err == nil {
		l.count("batch")
	} else {
		l.count("refused")
	}
	return receipts, err
}

func (l *moodyLog) Append(ctx context.Context, r messaging.Record) (messaging.Receipt, error) {
	if l.mood(ctx) == 0 {
		// This attempt, whose answer is lost, comes before the one that counts.
		if _, err := l.memoryLog.Append(ctx, r); err != nil {
			return messaging.Receipt{}, err
		}
	}
	l.count("single")
	time.Sleep(200 * time.Microsecond) // Dearer than its share of a batch.
	return l.memoryLog.Append(ctx, r)
}

// Whatever happens to batches, each event is stored once and in the order of its job, with
// ids repeated within batches and across them. The log has as many equal events without an
// id as were published.
func TestBatchesKeepIdentityAndOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	counts := make(map[string]int) // of all seeds: a single one may miss an outcome
	t.Cleanup(func() {             // after the subtests
		for _, what := range []string{"batch", "single", "refused", "lost", "answer lost", "late"} {
			if counts[what] == 0 {
				t.Errorf("it never happened: %s", what)
			}
		}
	})
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			const events, jobs = 3000, 7
			random := rand.New(rand.NewPCG(seed, 1))
			b := setup(t)
			log := &moodyLog{memoryLog: b.log, moods: rand.New(rand.NewPCG(seed, 2)), counts: make(map[string]int)}
			open := b.log.block()
			g := start(t, b.server.Client(), log, quick())
			g.waitConnected(t)

			want := make(map[string][]string) // the bodies of each job
			seen := make(map[string]string)
			var published []string
			for n := range events {
				job := fmt.Sprint("job-", random.IntN(jobs))
				text := event(job, fmt.Sprint("id-", n), n)
				switch random.IntN(60) {
				case 0: // An event once more, near by or far away.
					if n > 0 {
						text = published[max(0, n-1-random.IntN(1+random.IntN(n)))]
					}
				case 1, 2, 3:
					text = event(job, "", -random.IntN(2)) // without an id, and like others
				}
				published = append(published, text)
				job = text[strings.Index(text, "job-"):][:len("job-0")]
				if _, again := seen[text]; again && strings.Contains(text, `"id"`) {
					continue
				}
				seen[text] = job
				want[job] = append(want[job], text)
			}
			for chunk := range 30 {
				pipe := b.client.Pipeline()
				for _, text := range published[chunk*events/30 : (chunk+1)*events/30] {
					pipe.Publish(t.Context(), messaging.EventsChannel, text)
				}
				if _, err := pipe.Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
				if chunk == 10 {
					open() // The first third waits, so that batches are large.
				}
			}
			total := 0
			for _, bodies := range want {
				total += len(bodies)
			}
			b.log.waitRecords(t, total)
			eventually(t, "everything to be written", func() bool { return g.metric(t, "pending_events") == 0 })
			if err := g.stop(); err != nil {
				t.Fatal(err)
			}
			got := make(map[string][]string)
			for _, record := range b.log.stored() {
				got[record.JobID] = append(got[record.JobID], string(record.Body))
			}
			for job, bodies := range want {
				if len(got[job]) != len(bodies) {
					t.Errorf("%s has %d records, want %d", job, len(got[job]), len(bodies))
				}
				for n := range min(len(bodies), len(got[job])) {
					if got[job][n] != bodies[n] {
						t.Fatalf("%s: record %d is %s, want %s", job, n, got[job][n], bodies[n])
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for what, n := range log.counts {
				counts[what] += n
			}
			t.Log(log.counts)
		})
	}
}

// An event that the log does not accept delays only its own job, in a batch and by itself.
func TestStuckEventDelaysOnlyItsJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stuck := make(chan struct{})
	b.log.before = func(ctx context.Context, jobID string) error {
		if jobID != "stuck" {
			return nil
		}
		select {
		case <-stuck:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
			return errPassing
		}
	}
	b.subscribed(t, quick())
	b.publish(t, event("stuck", "s-1", 1), event("stuck", "s-2", 2))
	for n := range 200 {
		b.publish(t, event(fmt.Sprint("job-", n%5), fmt.Sprint("id-", n), n))
	}
	b.log.waitRecords(t, 200)
	close(stuck)
	b.log.waitRecords(t, 202)
}
