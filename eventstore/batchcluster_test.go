package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
)

// Batches on three replicas, while the leader gives its office away and is stopped: every
// event is stored once and in the order of its job, also where two gateways are given the
// same events at the same time.
func TestBatchesOutliveTheLeader(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	cluster := startNodes(t)
	var gateways []*ingest.Ingest
	var b *bundle
	for range 2 {
		b = open(t, connect(t, cluster.urls()), func(c *eventstore.Config) {
			c.Replicas, c.MaxBytes, c.DeadLetterMaxBytes = 3, 64<<20, 8<<20
			c.AckTimeout, c.OpenTimeout = time.Second, patience
		})
		cfg := ingest.DefaultConfig()
		cfg.PublishTimeout = patience
		g, err := ingest.New(nil, b.log, messaging.DefaultCatalogue(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }() // stopped by the cleanup
		t.Cleanup(func() {
			cancel()
			if err := await(t, "ingest to end", ended); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		gateways = append(gateways, g)
	}

	const jobs, bodies, lines = 4, 40, 30
	stage := make(chan struct{}, 2*jobs*bodies)
	var producing sync.WaitGroup
	produce := func(g *ingest.Ingest, job string) {
		producing.Go(func() {
			for body := range bodies {
				publishLines(t, g, job, body*lines, lines)
				stage <- struct{}{}
			}
		})
	}
	for n := range jobs {
		produce(gateways[n%2], fmt.Sprint("job-", n))
	}
	produce(gateways[0], "both")
	produce(gateways[1], "both")
	producers := jobs + 2

	for range 2 { // After every fifth of the bodies something happens to the leader.
		for range producers * bodies / 5 {
			await(t, "a body to be stored", stage)
		}
		eventually(t, "the leader to step down", func() bool {
			answer, err := b.conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.NOVEL_EVENTS", nil, 5*time.Second)
			return err == nil && strings.Contains(string(answer.Data), `"success":true`)
		})
	}
	for range producers * bodies / 5 {
		await(t, "a body to be stored", stage)
	}
	var leader string
	afterElections(t, "a leader", func() bool {
		leader, _ = b.copies(t)
		return leader != ""
	})
	for i, s := range cluster.servers {
		if s.Name() == leader {
			cluster.stop(i)
			cluster.start(t, i)
			break
		}
	}
	producing.Wait()

	for _, job := range []string{"job-0", "job-1", "job-2", "job-3", "both"} {
		for n, r := range b.whole(t, job, bodies*lines) {
			if r.ID != fmt.Sprint("id-", n) {
				t.Fatalf("%s: record %d has id %s", job, n, r.ID)
			}
		}
	}
	if b.counter(t, "append_batches_total") == 0 {
		t.Error("no batch was tried")
	}
}

// publishLines publishes events of a job over HTTP, and repeats those that are not stored,
// and what comes after them, until they are.
func publishLines(t *testing.T, g *ingest.Ingest, job string, from, count int) {
	deadline := time.Now().Add(4 * patience)
	for first := from; first < from+count; {
		if time.Now().After(deadline) {
			t.Errorf("%s: event %d is not stored", job, first)
			return
		}
		var body strings.Builder
		for n := first; n < from+count; n++ {
			fmt.Fprintf(&body, `{"kind":"domain","jobId":%q,"id":"id-%d","event":{"type":"t","occurredAt":"now","n":%d}}`+"\n", job, n, n)
		}
		request := httptest.NewRequest(http.MethodPost, "/api/realtime/events", strings.NewReader(body.String()))
		request.Header.Set("Content-Type", "application/x-ndjson")
		answer := httptest.NewRecorder()
		g.ServePublish(answer, request)
		var summary struct {
			Results []struct {
				OK bool `json:"ok"`
			} `json:"results"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &summary); err != nil {
			t.Errorf("%s: %v in %s", job, err, answer.Body)
			return
		}
		for _, result := range summary.Results {
			if !result.OK {
				break
			}
			first++
		}
	}
}
