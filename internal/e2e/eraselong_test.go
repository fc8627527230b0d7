package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/eventstore/lease"
)

// longJob is how many events the erased job of TestEraseLongJob has. ERASE_EVENTS sets
// another number, for measurements.
func longJob(t *testing.T) int {
	text := os.Getenv("ERASE_EVENTS")
	if text == "" {
		return 3000
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ERASE_EVENTS is %q: %v", text, err)
	}
	return count
}

// fill stores events of a job, one of another job beside each tenth, and their documents
// as the projections would, which takes a server for development far longer.
func (o *operated) fill(job string, count int) {
	o.t.Helper()
	conn, err := nats.Connect(o.env["NATS_URL"])
	if err != nil {
		o.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		o.t.Fatal(err)
	}
	add := func(job string, n int) {
		msg := &nats.Msg{Subject: "novel.events." + job, Data: fmt.Appendf(nil,
			`{"kind":"domain","jobId":%q,"id":"%s-%d","event":{"type":"t","occurredAt":"o","text":%q}}`, job, job, n, strings.Repeat("x", 200))}
		msg.Header = nats.Header{ // as eventstore writes them
			jetstream.MsgIDHeader: {fmt.Sprintf("j-%s.%s-%d", job, job, n)}, "Novel-Id": {fmt.Sprintf("%s-%d", job, n)},
			"Novel-Kind": {"domain"}, "Novel-At": {"2026-01-01T00:00:00Z"},
		}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(patience)); err != nil {
			o.t.Fatal(err)
		}
	}
	var documents []any
	flush := func() {
		if len(documents) == 0 {
			return
		}
		if _, err := o.events.InsertMany(o.t.Context(), documents); err != nil {
			o.t.Fatal(err)
		}
		documents = nil
	}
	for n := range count {
		add(job, n)
		if n%10 == 0 {
			add("other", n)
		}
		documents = append(documents, bson.D{
			{Key: "_id", Value: fmt.Sprintf("filled:%d", n)},
			{Key: "jobId", Value: job},
			{Key: "kind", Value: "domain"},
			{Key: "emittedAt", Value: "2026-01-01T00:00:00Z"},
			{Key: "epoch", Value: "before"},
			{Key: "sequence", Value: int64(n + 1)},
		})
		if len(documents) == 1000 {
			flush()
		}
	}
	flush()
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		o.t.Fatal("the server does not take the events")
	}
}

// TestEraseLongJob erases a job of many events. It is purged in bulk; the command is
// interrupted, listed as such, and finished by a repeat. New events of the job are on its
// page throughout.
func TestEraseLongJob(t *testing.T) {
	t.Parallel()
	o := startOperated(t, settings{"ROLES": "ingest,fanout"})
	count := longJob(t)
	o.fill("long", count)

	stop, stopped := make(chan struct{}), make(chan struct{})
	var answers sync.Map // status and whether the newest event was there -> count
	go func() {          // ends with stop
		defer close(stopped)
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			answer := o.newest("long", n)
			seen, _ := answers.LoadOrStore(answer, new(int))
			*seen.(*int)++
		}
	}()

	began := time.Now()
	interrupted := o.signalled(syscall.SIGINT, "remove documents", "erase", "long", "--reason", "request 17")
	if interrupted.code != 1 {
		t.Errorf("the interrupted command exits with %d:\n%s", interrupted.code, interrupted.stderr)
	}
	var operations []lease.Operation
	o.command(0, &operations, "operations")
	if len(operations) != 1 || operations[0].State != lease.Interrupted || operations[0].Resume != "realtime erase long --reason 'request 17'" {
		t.Errorf("operations lists %+v", operations)
	}
	o.command(3, nil, "audit", "list")
	o.command(1, nil, "operations", "undo", "job/long")

	r := o.command(0, nil, "erase", "long", "--reason", "request 17")
	t.Logf("erased %d events in %s:\n%s%s", count, time.Since(began).Round(time.Millisecond), r.stderr, r.stdout)
	if !strings.Contains(r.stdout, "purged") {
		t.Errorf("erase prints:\n%s", r.stdout)
	}
	close(stop)
	<-stopped
	answers.Range(func(answer, times any) bool {
		t.Logf("%d times: %s", *times.(*int), answer)
		if answer != "200, the newest event is there" {
			t.Errorf("the page of the job answered %d times: %s", *times.(*int), answer)
		}
		return true
	})
	o.command(0, nil, "audit", "list")
	o.command(0, &operations, "operations")
	if len(operations) != 0 {
		t.Errorf("operations still lists %+v", operations)
	}
	left, err := o.events.CountDocuments(t.Context(), bson.D{{Key: "epoch", Value: "before"}})
	if err != nil || left != 0 {
		t.Errorf("%d documents are left, %v", left, err)
	}
	if page := o.get("/api/novel/other/events"); !strings.Contains(page, `"sequence"`) {
		t.Errorf("the other job has %s", page)
	}
}

// newest publishes an event of a job and reports what the job's page says then.
func (o *operated) newest(job string, n int) string {
	body := fmt.Sprintf(`{"kind":"domain","jobId":%q,"id":"new-%d","event":{"type":"new","occurredAt":"o","n":%d}}`, job, n, n)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	send := func(method, path, contentType, body string) (int, string) {
		request, err := http.NewRequestWithContext(ctx, method, o.url(path), strings.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		if contentType != "" {
			request.Header.Set("Content-Type", contentType)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(response.Body); err != nil {
			return 0, err.Error()
		}
		return response.StatusCode, answer.String()
	}
	if status, answer := send(http.MethodPost, "/api/realtime/events", "application/json", body); status >= 300 || status == 0 {
		return fmt.Sprintf("publishing: %d %s", status, answer)
	}
	status, page := send(http.MethodGet, "/api/novel/"+job+"/events?limit=5", "", "")
	switch {
	case status != http.StatusOK:
		return fmt.Sprintf("%d %s", status, page)
	case !strings.Contains(page, fmt.Sprintf(`"id":"new-%d"`, n)):
		return fmt.Sprintf("%d without the newest event: %.200s", status, page)
	}
	return "200, the newest event is there"
}
