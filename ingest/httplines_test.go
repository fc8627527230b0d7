package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/messaging"
)

func TestLinesAreAnsweredOneByOne(t *testing.T) {
	t.Parallel()
	d := openDoor(t, quick())
	body := strings.Join([]string{
		"",
		event("a", "1", 1),
		event("b", "", 2) + "\r",
		" \t",
		`{"kind":"domain","jobId":"a","event":{}}`,
		event("a", "1", 1),
		event("a", "1", 3),
		"\t" + event("a", "2", 4),
		"poison",
		event("a", "", 5),
	}, "\n")
	answer := d.post(t, ndjsonType, body)
	want := `{"stored":5,"failed":3,"results":[` +
		`{"line":2,"ok":true,"id":"1","jobId":"a","sequence":1,"duplicate":false},` +
		`{"line":3,"ok":true,"jobId":"b","sequence":2,"duplicate":false},` +
		`{"line":5,"ok":false,"code":"schema-violation","message":"event.type: is required"},` +
		`{"line":6,"ok":true,"id":"1","jobId":"a","sequence":1,"duplicate":true},` +
		`{"line":7,"ok":false,"code":"id-conflict","message":"the log has this id with another body"},` +
		`{"line":8,"ok":true,"id":"2","jobId":"a","sequence":3,"duplicate":false},` +
		`{"line":9,"ok":false,"code":"invalid-json","message":"must be one JSON object and nothing else: byte 0 of 6"},` +
		`{"line":10,"ok":true,"jobId":"a","sequence":4,"duplicate":false}]}`
	if answer.status != http.StatusMultiStatus || answer.header.Get("Retry-After") != "" {
		t.Errorf("answered %d, Retry-After %q, want 207", answer.status, answer.header.Get("Retry-After"))
	}
	lines, records := strings.Split(body, "\n"), d.log.stored()
	for _, result := range answer.Results {
		if result.OK && string(records[result.Sequence-1].Body) != strings.TrimSpace(lines[result.Line-1]) {
			t.Errorf("line %d is not at sequence %d", result.Line, result.Sequence)
		}
	}
	if len(records) != 4 {
		t.Errorf("%d records, want 4", len(records))
	}
	normal := func(text string) string { // the jobs race for the sequences
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("decode %s: %v", text, err)
		}
		for _, result := range value.(map[string]any)["results"].([]any) {
			delete(result.(map[string]any), "sequence")
		}
		again, _ := json.Marshal(value)
		return string(again)
	}
	if normal(answer.text) != normal(want) {
		t.Errorf("answered %s, want %s", answer.text, want)
	}

	again := d.post(t, ndjsonType, event("a", "1", 1)+"\n"+event("c", "", 6)+"\n")
	if again.status != http.StatusOK || again.Stored != 2 || again.Failed != 0 || !again.Results[0].Duplicate || again.Results[1].Sequence != 5 {
		t.Errorf("answered %d with %s, want 200", again.status, again.text)
	}
	d.expectEmpty(t)
}

// Bodies, single envelopes and Redis share the queues of the jobs: each publisher's events
// of a job are stored in the order in which it sent them, one at a time.
func TestPublishersShareTheOrderOfAJob(t *testing.T) {
	t.Parallel()
	const publishers, rounds, perBody, jobs = 6, 15, 12, 3
	cfg := quick()
	cfg.MaxPendingEvents = 20 // so that they also wait for room
	b := setup(t)
	b.log.before = func(context.Context, string) error {
		if rand.IntN(10) < 3 {
			return errPassing
		}
		return nil
	}
	d := serve(t, b.subscribed(t, cfg), b.log)
	var working sync.WaitGroup
	for p := range publishers {
		working.Go(func() {
			for round := range rounds {
				var lines []string
				for n := range perBody {
					number := round*perBody + n
					lines = append(lines, event(fmt.Sprint("job-", number%jobs), fmt.Sprintf("%d/%d", p, number), number))
				}
				media, texts := ndjsonType, []string{strings.Join(lines, "\n")}
				if p%2 == 0 {
					media, texts = jsonType, lines
				}
				for _, text := range texts {
					answer, err := d.do(d.request(context.Background(), media, strings.NewReader(text)))
					if err != nil || answer.status != http.StatusOK && answer.status != http.StatusCreated {
						t.Errorf("publisher %d: answered %d with %s, %v", p, answer.status, answer.text, err)
						return
					}
				}
			}
		})
	}
	for number := range rounds * perBody {
		b.publish(t, event(fmt.Sprint("job-", number%jobs), fmt.Sprintf("redis/%d", number), number))
	}
	working.Wait()
	records := b.log.waitRecords(t, (publishers+1)*rounds*perBody)
	last := make(map[string]int)
	for _, record := range records {
		publisher, _, _ := strings.Cut(record.ID, "/")
		key, n := publisher+" "+record.JobID, number(t, record)
		if previous, ok := last[key]; ok && n != previous+jobs {
			t.Fatalf("%s: %d follows %d, want %d", key, n, previous, previous+jobs)
		}
		last[key] = n
	}
	if len(last) != (publishers+1)*jobs || len(records) != (publishers+1)*rounds*perBody {
		t.Errorf("%d records of %d publishers and jobs", len(records), len(last))
	}
	if b.log.mostPerID != 1 {
		t.Errorf("%d appends of one job at a time, want 1", b.log.mostPerID)
	}
	d.expectEmpty(t)
}

// FuzzLines publishes any body as NDJSON and compares the answer with the lines of the
// body.
func FuzzLines(f *testing.F) {
	line := event("job", "", 1)
	for _, seed := range []string{"", "\n", line, line + "\r\n" + line, "\n\n" + line + "\n \t\r\n{}\n", "{\n}", line + "\x00\n\xff\xfe", `{"a":"` + "\n" + `"}`} {
		f.Add([]byte(seed))
	}
	cfg := ingest.DefaultConfig()
	cfg.MaxLines, cfg.MaxBodyBytes, cfg.MaxEventBytes = 20, 4000, 300
	log := newMemoryLog()
	g, err := ingest.New(nil, log, messaging.DefaultCatalogue(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		f.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }() // stopped by the cleanup
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("run: %v", err)
		}
	})

	f.Fuzz(func(t *testing.T, body []byte) {
		log.begin()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", ndjsonType)
		w := httptest.NewRecorder()
		g.ServePublish(w, r)
		var answer reply
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("answered %s: %v", w.Body, err)
		}

		var numbers []int
		var accepted []string
		for n, text := range strings.Split(string(body), "\n") {
			if text = strings.Trim(text, " \t\r"); text == "" {
				continue
			}
			numbers = append(numbers, n+1)
			if _, err := messaging.DefaultCatalogue().Decode([]byte(text), cfg.MaxEventBytes); err == nil {
				accepted = append(accepted, text)
			}
		}
		switch {
		case len(body) > cfg.MaxBodyBytes || len(numbers) > cfg.MaxLines:
			if w.Code != http.StatusRequestEntityTooLarge || len(log.stored()) != 0 {
				t.Fatalf("answered %d and stored %d of a body that is too large", w.Code, len(log.stored()))
			}
			return
		case len(numbers) == 0:
			if w.Code != http.StatusBadRequest {
				t.Fatalf("answered %d to no lines", w.Code)
			}
			return
		}
		if len(answer.Results) != len(numbers) || answer.Stored+answer.Failed != len(numbers) {
			t.Fatalf("answered %s, want %d results", w.Body, len(numbers))
		}
		conflicts, duplicates := 0, 0
		for n, result := range answer.Results {
			if result.Line != numbers[n] || result.OK != (result.Code == "") || result.OK != (result.Sequence > 0) {
				t.Errorf("result %+v, want one of line %d", result, numbers[n])
			}
			if result.Code == string(messaging.ReasonIDConflict) {
				conflicts++
			}
			if result.Duplicate {
				duplicates++
			}
		}
		if got := len(log.stored()); got != len(accepted)-conflicts-duplicates || answer.Stored != len(accepted)-conflicts {
			t.Errorf("%d of %d lines stored, %d conflicts, %d duplicates: %s", got, len(accepted), conflicts, duplicates, w.Body)
		}
	})
}
