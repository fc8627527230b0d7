package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// The pages and the stream show what sockets are sent, also for a jobId that
// has to be escaped in a path.
func TestHTTP(t *testing.T) {
	t.Parallel()
	const job, events = "a/b c?", 30
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL()})
	producer := startOutbox(t, redis.Client())
	for range events {
		producer.send(job)
	}
	producer.settle()
	stored := producer.stored()

	page := func(query string) []uint64 {
		t.Helper()
		var answer struct {
			Count int
			Items []struct {
				Kind messaging.Kind
				delivery
			}
		}
		server.fetch("/api/novel/"+url.PathEscape(job)+"/events"+query, &answer)
		var sequences []uint64
		for _, item := range answer.Items {
			if item.Kind != messaging.KindDomain || item.JobID != job {
				t.Errorf("%s: item %+v", query, item)
			}
			sequences = append(sequences, item.Sequence)
		}
		if answer.Count != len(sequences) {
			t.Errorf("%s: count is %d of %d items", query, answer.Count, len(sequences))
		}
		return sequences
	}
	sequences := func(from, to int) []uint64 {
		var some []uint64
		for _, receipt := range stored[from:to] {
			some = append(some, receipt.Sequence)
		}
		return some
	}
	newestFirst := func(some []uint64) []uint64 { slices.Reverse(some); return some }
	for _, test := range []struct {
		query string
		want  []uint64
	}{
		{"", newestFirst(sequences(0, events))},
		{"?limit=10", newestFirst(sequences(20, 30))},
		{fmt.Sprintf("?limit=10&before=%d", stored[20].Sequence), newestFirst(sequences(10, 20))},
		{fmt.Sprintf("?limit=10&since=%d", stored[4].Sequence), sequences(5, 15)},
		{fmt.Sprintf("?since=%d", stored[events-1].Sequence), nil},
	} {
		if got := page(test.query); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %v, want %v", test.query, got, test.want)
		}
	}

	// A stream from the beginning, broken off, and resumed by the last id.
	first := openStream(t, server, job, "")
	received := first.take(events)
	first.close()
	for range 5 {
		producer.send(job)
	}
	producer.settle()
	second := openStream(t, server, job, fmt.Sprint(received[events-1].Sequence))
	received = append(received, second.take(5)...)
	producer.send(job)
	producer.settle()
	received = append(received, second.take(1)...)
	second.close()
	for i, receipt := range producer.stored() {
		if want := (delivery{JobID: receipt.JobID, Sequence: receipt.Sequence, ID: receipt.ID}); received[i] != want {
			t.Fatalf("event %d of the stream is %+v, want %+v", i+1, received[i], want)
		}
	}
}

// stream reads Server-Sent Events.
type stream struct {
	t      *testing.T
	stop   context.CancelFunc
	answer *http.Response
	lines  *bufio.Scanner
}

func openStream(t *testing.T, server *gateway, job, lastEventID string) *stream {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.url("/api/realtime/jobs/"+url.PathEscape(job)+"/stream"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("the stream answers %s, %s", answer.Status, got)
	}
	return &stream{t: t, stop: stop, answer: answer, lines: bufio.NewScanner(answer.Body)}
}

// take reads n events that have an id and passes over the others.
func (s *stream) take(n int) []delivery {
	s.t.Helper()
	var taken []delivery
	id := ""
	for len(taken) < n && s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case field == "id":
			id = value
		case field == "" && value == "":
			id = ""
		case field == "data" && id != "":
			var d delivery
			if err := json.Unmarshal([]byte(value), &d); err != nil {
				s.t.Fatalf("data %s: %v", value, err)
			}
			if !strings.HasSuffix(id, fmt.Sprintf(":%d", d.Sequence)) {
				s.t.Errorf("the id is %s, the sequence %d", id, d.Sequence)
			}
			taken = append(taken, d)
		}
	}
	if len(taken) < n {
		s.t.Fatalf("the stream ended after %d of %d events: %v", len(taken), n, s.lines.Err())
	}
	return taken
}

func (s *stream) close() {
	s.stop()
	_ = s.answer.Body.Close()
}
