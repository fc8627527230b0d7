package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
)

func TestEventIsStoredAsPublishedAndAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	receipts := b.receipts(t)
	g := b.subscribed(t, quick())

	before := time.Now().UTC().Truncate(time.Millisecond)
	body := event("job.*>1", "id-1", 7)
	b.publish(t, body)
	first := next(t, receipts)
	if want := (messaging.Receipt{ID: "id-1", JobID: "job.*>1", Sequence: 1}); first != want {
		t.Errorf("receipt %+v, want %+v", first, want)
	}
	record := b.log.waitRecords(t, 1)[0]
	if string(record.Body) != body || record.JobID != "job.*>1" || record.Kind != messaging.KindDomain ||
		record.ID != "id-1" || record.MessageID != "id-1" {
		t.Errorf("record %+v with body %s, want it as published", record, record.Body)
	}
	if at, err := time.Parse(messaging.TimeLayout, record.EmittedAt); err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("emittedAt %q (%v), want the time of receipt", record.EmittedAt, err)
	}

	b.publish(t, body)
	if again, want := next(t, receipts), (messaging.Receipt{ID: "id-1", JobID: "job.*>1", Sequence: 1, Duplicate: true}); again != want {
		t.Errorf("receipt of the repeat %+v, want %+v", again, want)
	}
	if err := g.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("a second Run succeeded")
	}
	if err := g.Connected(); !errors.Is(err, ingest.ErrNotSubscribed) {
		t.Errorf("connected after stop: %v", err)
	}
	for name, want := range map[string]float64{
		"received_events_total": 2, "appended_events_total": 1, "duplicate_events_total": 1, "pending_events": 0, "pending_bytes": 0,
		"receipts_total{sent}": 2, "gaps_total": 0, "subscribed": 0, "received_bytes_total": float64(2 * len(body)),
	} {
		if got := g.metric(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestEventWithoutIDGetsNoReceipt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	receipts := b.receipts(t)
	b.subscribed(t, quick())
	b.publish(t, event("job", "", 1), event("job", "with", 2))
	if receipt := next(t, receipts); receipt.ID != "with" || receipt.Sequence != 2 {
		t.Errorf("first receipt %+v, want the one of the second event", receipt)
	}
}

func TestOrderPerJobSurvivesFailingAppends(t *testing.T) {
	t.Parallel()
	const jobs, events = 20, 1000
	b := setup(t)
	b.log.before = func(context.Context, string) error {
		if rand.IntN(10) < 3 {
			return errPassing
		}
		return nil
	}
	b.subscribed(t, quick())
	for n := range events {
		// Every other event has no id, which may need several appends.
		id := ""
		if n%2 == 0 {
			id = fmt.Sprint("id-", n)
		}
		b.publish(t, event(fmt.Sprint("job-", n%jobs), id, n))
	}
	last := make(map[string]int)
	records := b.log.waitRecords(t, events)
	for _, record := range records {
		n := number(t, record)
		if previous, ok := last[record.JobID]; ok && n != previous+jobs {
			t.Fatalf("%s: %d follows %d, want %d", record.JobID, n, previous, previous+jobs)
		}
		last[record.JobID] = n
	}
	if len(records) != events || len(last) != jobs {
		t.Errorf("%d records of %d jobs, want %d of %d", len(records), len(last), events, jobs)
	}
	if b.log.mostPerID != 1 {
		t.Errorf("%d appends of one job at a time, want 1", b.log.mostPerID)
	}
}

func TestJobsDoNotWaitForEachOther(t *testing.T) {
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
		}
	}
	b.subscribed(t, quick())
	b.publish(t, event("stuck", "", 1), event("stuck", "", 2))
	for n := range 100 {
		b.publish(t, event(fmt.Sprint("free-", n%5), "", n))
	}
	for _, record := range b.log.waitRecords(t, 100) {
		if record.JobID == "stuck" {
			t.Fatal("the stuck job was stored")
		}
	}
	close(stuck)
	records := b.log.waitRecords(t, 102)
	if number(t, records[100]) != 1 || number(t, records[101]) != 2 {
		t.Errorf("the stuck job's events are stored as %s, %s", records[100].Body, records[101].Body)
	}
}

func TestStopStoresWhatWasRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	open := b.log.block()
	defer open()
	receipts := b.receipts(t)
	g := b.subscribed(t, quick())
	for n := range 50 {
		b.publish(t, event("job", fmt.Sprint(n), n))
	}
	eventually(t, "50 events to be read", func() bool { return g.metric(t, "pending_events") == 50 })
	g.cancel()
	eventually(t, "the end of the reading", func() bool { return g.Connected() != nil })
	open()
	if err := g.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if stored := len(b.log.stored()); stored != 50 {
		t.Errorf("%d events stored, want 50", stored)
	}
	for n := range 50 {
		if receipt := next(t, receipts); receipt.ID != fmt.Sprint(n) {
			t.Fatalf("receipt %q, want %d", receipt.ID, n)
		}
	}
}

func TestStopGivesUpAtTheDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.log.failWith(errPassing)
	cfg := quick()
	cfg.DrainTimeout = 50 * time.Millisecond
	g := b.subscribed(t, cfg)
	b.publish(t, event("a", "1", 1), event("a", "2", 2), event("b", "", 3), "poison")
	eventually(t, "4 events to be read", func() bool {
		return g.metric(t, "pending_events") == 3 && g.metric(t, "pending_dead_letters") == 1
	})
	err := g.stop()
	if !errors.Is(err, ingest.ErrAbandoned) || !strings.Contains(err.Error(), " 4 ") || !strings.Contains(err.Error(), errPassing.Error()) {
		t.Errorf("run: %v, want 4 abandoned, and why", err)
	}
	if errors.Is(err, context.Canceled) {
		t.Errorf("run: %v, which looks like an orderly end", err)
	}
	if got := g.metric(t, "abandoned_events_total"); got != 4 {
		t.Errorf("%v counted as abandoned, want 4", got)
	}
}

func TestNewRefusesInvalidArguments(t *testing.T) {
	t.Parallel()
	client := setup(t).client
	registry := prometheus.NewRegistry()
	build := func(cfg ingest.Config) error {
		_, err := ingest.New(client, newMemoryLog(), messaging.DefaultCatalogue(), cfg, slog.New(slog.DiscardHandler), registry)
		return err
	}
	if err := build(ingest.DefaultConfig()); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	if err := build(ingest.DefaultConfig()); err == nil {
		t.Error("New succeeded a second time on the same registry")
	}
	for field, change := range map[string]func(*ingest.Config){
		"MaxEventBytes":         func(c *ingest.Config) { c.MaxEventBytes = 0 },
		"MaxDeadLetterBytes":    func(c *ingest.Config) { c.MaxDeadLetterBytes = -1 },
		"MaxPendingEvents":      func(c *ingest.Config) { c.MaxPendingEvents = 0 },
		"MaxPendingBytes":       func(c *ingest.Config) { c.MaxPendingBytes = c.MaxEventBytes - 1 },
		"MaxPendingLetters":     func(c *ingest.Config) { c.MaxPendingLetters = 0 },
		"MaxPendingLetterBytes": func(c *ingest.Config) { c.MaxPendingLetterBytes = 0 },
		"MaxPendingReceipts":    func(c *ingest.Config) { c.MaxPendingReceipts = 0 },
		"MaxLines":              func(c *ingest.Config) { c.MaxLines = 0 },
		"MaxBodyBytes":          func(c *ingest.Config) { c.MaxBodyBytes = c.MaxEventBytes - 1 },
		"MaxPublishRequests":    func(c *ingest.Config) { c.MaxPublishRequests = 0 },
		"MaxPublishBytes":       func(c *ingest.Config) { c.MaxPublishBytes = c.MaxBodyBytes - 1 },
		"PublishTimeout":        func(c *ingest.Config) { c.PublishTimeout = 0 },
		"BodyTimeout":           func(c *ingest.Config) { c.BodyTimeout = 0 },
		"MaxIdentities":         func(c *ingest.Config) { c.MaxIdentities = c.MaxPendingEvents - 1 },
		"DedupWindow":           func(c *ingest.Config) { c.DedupWindow = 0 },
		"ConnectTimeout":        func(c *ingest.Config) { c.ConnectTimeout = 0 },
		"PingInterval":          func(c *ingest.Config) { c.PingInterval = 0 },
		"PingTimeout":           func(c *ingest.Config) { c.PingTimeout = -1 },
		"BackoffMin":            func(c *ingest.Config) { c.BackoffMin = 0 },
		"BackoffMax":            func(c *ingest.Config) { c.BackoffMax = c.BackoffMin - 1 },
		"RetryInterval":         func(c *ingest.Config) { c.RetryInterval = 0 },
		"ReceiptTimeout":        func(c *ingest.Config) { c.ReceiptTimeout = 0 },
		"DrainTimeout":          func(c *ingest.Config) { c.DrainTimeout = 0 },
	} {
		cfg := ingest.DefaultConfig()
		change(&cfg)
		if err := build(cfg); err == nil || !strings.HasPrefix(err.Error(), "ingest: "+field+" is ") {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
}
