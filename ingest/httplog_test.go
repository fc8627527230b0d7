package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

func TestPublishToTheRealLog(t *testing.T) {
	t.Parallel()
	const publishers, lines, jobs = 4, 100, 5
	log := logkit.Open(t, logkit.Conn(t))
	d := serve(t, start(t, nil, log, quick()), nil)

	var working sync.WaitGroup
	for p := range publishers {
		working.Go(func() {
			var body strings.Builder
			for n := range lines {
				id := ""
				if n%2 == 0 {
					id = fmt.Sprintf("%d/%d", p, n)
				}
				body.WriteString(event(fmt.Sprint("job-", n%jobs), id, p*lines+n) + "\n")
			}
			answer, err := d.do(d.request(context.Background(), ndjsonType, strings.NewReader(body.String())))
			if err != nil || answer.status != http.StatusOK || answer.Stored != lines {
				t.Errorf("publisher %d: answered %d with %s, %v", p, answer.status, answer.text, err)
			}
		})
	}
	working.Wait()
	last := make(map[int]int)
	for job := range jobs {
		records, err := log.ReadAfter(t.Context(), fmt.Sprint("job-", job), 0, publishers*lines)
		if err != nil {
			t.Fatalf("read the log: %v", err)
		}
		if len(records) != publishers*lines/jobs {
			t.Errorf("job %d has %d records, want %d", job, len(records), publishers*lines/jobs)
		}
		clear(last)
		for _, record := range records {
			p, n := number(t, record)/lines, number(t, record)%lines
			if previous, ok := last[p]; ok && n != previous+jobs {
				t.Errorf("job %d: %d of publisher %d follows %d", job, n, p, previous)
			}
			last[p] = n
		}
	}

	same := event("other", "", 1)
	first, second := d.post(t, jsonType, same), d.post(t, jsonType, same)
	if first.status != http.StatusCreated || second.status != http.StatusCreated || second.Sequence != first.Sequence+1 {
		t.Errorf("without an id: answered %s and %s, want both stored", first.text, second.text)
	}
	key := []string{"Idempotency-Key", "a key ~ of 100 %"}
	first, second = d.post(t, jsonType, same, key...), d.post(t, jsonType, same, key...)
	if first.status != http.StatusCreated || second.status != http.StatusOK || !second.Duplicate || second.Sequence != first.Sequence {
		t.Errorf("with a key: answered %s and %s, want one stored", first.text, second.text)
	}
	records, err := log.ReadAfter(t.Context(), "other", first.Sequence-1, 10)
	if err != nil || len(records) != 1 || records[0].ID != key[1] || string(records[0].Body) != same {
		t.Errorf("the log has %+v, %v", records, err)
	}
	if conflict := d.post(t, jsonType, event("other", "", 2), key...); conflict.status != http.StatusConflict {
		t.Errorf("the key with another body: answered %d with %s, want 409", conflict.status, conflict.text)
	}
	if another := d.post(t, jsonType, event("elsewhere", "", 1), key...); another.status != http.StatusCreated || another.Duplicate {
		t.Errorf("the key for another job: answered %d with %s, want 201", another.status, another.text)
	}
	letters, err := maintain.Of(log).DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 0 {
		t.Errorf("%d dead letters, %v, want none", len(letters), err)
	}
}

func TestPublishWhileTheRealLogIsAway(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	config := natsserver.Config{StoreDir: folder, Listen: testkit.FreeAddr(t), SyncAlways: true}
	open := func() *natsserver.Server {
		server, err := natsserver.Start(config)
		if err != nil {
			t.Fatalf("start NATS: %v", err)
		}
		return server
	}
	server := open()
	conn, err := eventstore.Connect(t.Context(), server.ClientURL(), eventstore.ConnConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("open the log: %v", err)
	}
	d := serve(t, start(t, nil, log, quick()), nil)

	if answer := d.post(t, jsonType, event("job", "before", 1)); answer.status != http.StatusCreated {
		t.Fatalf("answered %d with %s", answer.status, answer.text)
	}
	if err := server.Close(context.Background()); err != nil {
		t.Fatalf("stop NATS: %v", err)
	}
	d.post(t, jsonType, event("job", "during", 2), limitHeader, "300ms").expectUnavailable(t)
	d.post(t, ndjsonType, event("job", "during", 2)+"\n"+event("job", "never", 3), limitHeader, "300ms").expectUnavailable(t)

	server = open()
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	// The request waits: the connection to the log recovers by itself.
	if answer := d.post(t, jsonType, event("job", "during", 2)); answer.status != http.StatusCreated && answer.status != http.StatusOK {
		t.Errorf("answered %d with %s once the log is back", answer.status, answer.text)
	}
	if again := d.post(t, jsonType, event("job", "before", 1)); again.status != http.StatusOK || !again.Duplicate {
		t.Errorf("the first again: answered %d with %s, want a duplicate", again.status, again.text)
	}
	records, err := log.ReadAfter(t.Context(), "job", 0, 10)
	if err != nil || len(records) != 2 || records[0].ID != "before" || records[1].ID != "during" {
		t.Errorf("the log has %d records, %v, want the two that were answered", len(records), errors.Join(err))
	}
}
