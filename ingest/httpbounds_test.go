package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPublishWaitsForRoomInTheBudget(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingEvents = 3
	d := openDoor(t, cfg)
	var lines []string
	for n := range 50 { // more than fit at a time
		lines = append(lines, event(fmt.Sprint("job-", n%5), "", n))
	}
	answer := d.post(t, ndjsonType, strings.Join(lines, "\n"))
	if answer.status != http.StatusOK {
		t.Errorf("answered %d with %s, want 200", answer.status, answer.text)
	}
	d.expectStored(t, lines, answer)
	if d.log.mostAtAll > 3 {
		t.Errorf("%d appends at a time, want 3", d.log.mostAtAll)
	}
	d.expectEmpty(t)
}

func TestFullBudgetIsUnavailableInTheEnd(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingEvents = 3
	b := setup(t)
	d := serve(t, b.subscribed(t, cfg), b.log)
	open := b.log.block()
	defer open()
	for n := range 5 {
		b.publish(t, event("job", "", n))
	}
	eventually(t, "back-pressure", func() bool { return d.metric(t, "backpressure_episodes_total") == 1 })
	for range 3 {
		d.post(t, jsonType, event("other", "", 1), limitHeader, "50ms").expectUnavailable(t)
	}
	if pending := d.metric(t, "pending_events"); pending != 3 {
		t.Errorf("%v events pending, want 3", pending)
	}
	open()
	b.log.waitRecords(t, 5)
	if answer := d.post(t, jsonType, event("other", "", 1)); answer.status != http.StatusCreated {
		t.Errorf("afterwards: answered %d with %s", answer.status, answer.text)
	}
	d.expectEmpty(t)
}

// The time that an event takes from its receipt to the log includes its wait for room.
func TestWaitForRoomIsMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := quick()
		cfg.MaxPendingEvents, cfg.PublishTimeout = 1, time.Hour
		d := openDoorInBubble(t, cfg)
		d.log.before = func(context.Context, string) error {
			time.Sleep(time.Second)
			return nil
		}
		d.post(t, ndjsonType, strings.Join([]string{event("a", "", 1), event("b", "", 2), event("c", "", 3)}, "\n"))
		families, err := d.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() != "realtime_ingest_receive_to_log_seconds" {
				continue
			}
			measured := family.GetMetric()[0].GetHistogram()
			if count, sum := measured.GetSampleCount(), measured.GetSampleSum(); count != 3 || sum < 6 || sum > 7 {
				t.Errorf("%d events took %v seconds, want 3 that took 1, 2 and 3", count, sum)
			}
			return
		}
		t.Error("no metric")
	})
}

// Publishers that always have more events do not starve Redis.
func TestRedisIsReadBesideBusyPublishers(t *testing.T) {
	t.Parallel()
	const events = 50
	cfg := quick()
	cfg.MaxPendingEvents = 4
	b := setup(t)
	d := serve(t, b.subscribed(t, cfg), b.log)
	var lines []string
	for n := range 100 {
		lines = append(lines, event(fmt.Sprint("http-", n%10), "", n))
	}
	body := strings.Join(lines, "\n")
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				_, _ = d.do(d.request(ctx, ndjsonType, strings.NewReader(body)))
			}
		})
	}
	for n := range events {
		b.publish(t, event("redis", fmt.Sprint(n), n))
	}
	b.log.wait(t, "the events from Redis", func() bool {
		return len(b.log.records) >= events && b.log.bySequence[fmt.Sprint(events-1)] > 0
	})
	cancel()
	working.Wait()
	d.expectEmpty(t)
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPublishRequests = 2
	cfg.MaxEventBytes, cfg.MaxBodyBytes, cfg.MaxPublishBytes = 40_000, 40_000, 60_000
	d := openDoor(t, cfg)
	// 16 KiB are booked at first, and doubled when they are full.
	slow := d.stalled(t, jsonType, strings.Repeat(" ", 20_000), 40_000)
	eventually(t, "half a body", func() bool { return d.metric(t, "http_pending_bytes") == 32<<10 })
	d.post(t, jsonType, sized(t, "job", 33_000)).expectUnavailable(t)
	if answer := d.post(t, jsonType, sized(t, "job", 10_000)); answer.status != http.StatusCreated {
		t.Errorf("a small body: answered %d with %s", answer.status, answer.text)
	}
	second := d.stalled(t, jsonType, "", 10)
	eventually(t, "the second request", func() bool { return d.metric(t, "http_pending_requests") == 2 })
	d.post(t, jsonType, event("job", "", 1)).expectUnavailable(t)
	_, _ = slow.Close(), second.Close()
	d.expectEmpty(t)
	if answer := d.post(t, jsonType, sized(t, "job", 40_000)); answer.status != http.StatusCreated {
		t.Errorf("afterwards: answered %d with %s", answer.status, answer.text)
	}
}

// Nobody overtakes a request that waits for room, and one that stops waiting blocks nobody.
func TestWaitersKeepTheirPlacesInTheQueue(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxEventBytes, cfg.MaxDeadLetterBytes, cfg.MaxPendingBytes = 1000, 1000, 1000
	d := openDoor(t, cfg)
	stuck := make(chan struct{})
	d.log.before = func(ctx context.Context, jobID string) error {
		if jobID != "stuck" {
			return nil
		}
		select {
		case <-stuck:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	first := d.postAsync(t, jsonType, sized(t, "stuck", 500))
	eventually(t, "an event at the log", func() bool { return d.metric(t, "pending_bytes") == 500 })

	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	large := d.request(ctx, jsonType, strings.NewReader(sized(t, "stuck", 600)))
	go func() { // ends with ctx
		_, err := d.do(large)
		left <- err
	}()
	eventually(t, "one who waits", func() bool { return d.metric(t, "backpressure_episodes_total") == 1 })

	// The event would fit, and its job is idle.
	small := sized(t, "free", 200)
	brief, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	if answer, err := d.do(d.request(brief, jsonType, strings.NewReader(small))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answered %d with %s, %v, want none", answer.status, answer.text, err)
	}

	next := d.postAsync(t, jsonType, small)
	eventually(t, "the next", func() bool { return d.metric(t, "http_received_events_total") == 4 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left got %v", err)
	}
	if answer := <-next; answer.status != http.StatusCreated || answer.Sequence != 1 {
		t.Errorf("the next: answered %d with %s", answer.status, answer.text)
	}
	close(stuck)
	if answer := <-first; answer.status != http.StatusCreated || answer.Sequence != 2 {
		t.Errorf("the first: answered %d with %s", answer.status, answer.text)
	}
	d.expectEmpty(t)
}
