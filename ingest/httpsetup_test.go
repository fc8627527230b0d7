package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/pipenet"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// door is a running Ingest that serves HTTP.
type door struct {
	*gateway
	log    *memoryLog
	server *httptest.Server
	client *http.Client
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// openDoor runs an Ingest without Redis behind an HTTP server.
func openDoor(t *testing.T, cfg ingest.Config) *door {
	t.Helper()
	log := newMemoryLog()
	return serve(t, start(t, nil, log, cfg), log)
}

// openDoorInBubble is openDoor for a bubble of fake time, in which a timeout passes only
// when all goroutines wait, and never because the machine is busy.
func openDoorInBubble(t *testing.T, cfg ingest.Config) *door {
	t.Helper()
	log := newMemoryLog()
	g := start(t, nil, log, cfg)
	network := pipenet.Listen()
	d := &door{gateway: g, log: log, dial: network.Dial, server: &httptest.Server{
		Listener: network, Config: &http.Server{Handler: http.HandlerFunc(g.ServePublish)},
	}}
	d.open(t)
	return d
}

// serve puts an HTTP server before an Ingest.
func serve(t *testing.T, g *gateway, log *memoryLog) *door {
	t.Helper()
	d := &door{gateway: g, log: log, dial: (&net.Dialer{}).DialContext, server: httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if limit, err := time.ParseDuration(r.Header.Get(limitHeader)); err == nil {
				ctx, cancel := context.WithTimeout(r.Context(), limit)
				defer cancel()
				r = r.WithContext(ctx)
			}
			g.ServePublish(w, r)
		},
	))}
	d.open(t)
	return d
}

// limitHeader bounds one request of a test as Config.PublishTimeout bounds all of them, so
// that requests that must succeed have enough time.
const limitHeader = "Test-Limit"

func (d *door) open(t *testing.T) {
	t.Helper()
	d.server.Start()
	d.client = &http.Client{Transport: &http.Transport{DialContext: d.dial}}
	t.Cleanup(d.server.Close)
	t.Cleanup(d.client.CloseIdleConnections)
}

// reply is the answer to a request, with the fields of all forms.
type reply struct {
	status int
	header http.Header
	text   string

	ID        string
	JobID     string
	Sequence  uint64
	Duplicate bool
	Code      string
	Message   string

	Stored  int
	Failed  int
	Results []struct {
		Line      int
		OK        bool
		ID        string
		JobID     string
		Sequence  uint64
		Duplicate bool
		Code      string
		Message   string
	}
}

// request returns a request to publish; the header has names and values in turn.
func (d *door) request(ctx context.Context, contentType string, body io.Reader, header ...string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.server.URL, body)
	if err != nil {
		panic(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}
	return r
}

// do sends a request; it may be called from any goroutine.
func (d *door) do(r *http.Request) (reply, error) {
	response, err := d.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	answer := reply{status: response.StatusCode, header: response.Header, text: strings.TrimSuffix(string(text), "\n")}
	if got := response.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		return reply{}, fmt.Errorf("Content-Type is %q", got)
	}
	return answer, json.Unmarshal(text, &answer)
}

// post publishes a body.
func (d *door) post(t *testing.T, contentType, body string, header ...string) reply {
	t.Helper()
	answer, err := d.do(d.request(t.Context(), contentType, strings.NewReader(body), header...))
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return answer
}

// postAsync publishes a body on a goroutine of its own, which ends with the answer.
func (d *door) postAsync(t *testing.T, contentType, body string) <-chan reply {
	t.Helper()
	answers := make(chan reply, 1)
	r := d.request(context.Background(), contentType, strings.NewReader(body))
	go func() {
		answer, err := d.do(r)
		if err != nil {
			answer.text = err.Error()
		}
		answers <- answer
	}()
	return answers
}

// expectEmpty waits until no event is on its way.
func (d *door) expectEmpty(t *testing.T) {
	t.Helper()
	for _, name := range []string{"pending_events", "pending_bytes", "http_pending_requests", "http_pending_bytes"} {
		eventually(t, name+" to be 0", func() bool { return d.metric(t, name) == 0 })
	}
	if letters := len(d.log.waitLetters(t, 0)); letters != 0 {
		t.Errorf("%d dead letters, want none", letters)
	}
}

// expectStored checks that the log has exactly the lines that the answer to an NDJSON body
// reports.
func (d *door) expectStored(t *testing.T, lines []string, answer reply) {
	t.Helper()
	records := d.log.stored()
	stored := 0
	for n, result := range answer.Results {
		if !result.OK {
			continue
		}
		stored++
		if result.Sequence < 1 || result.Sequence > uint64(len(records)) || string(records[result.Sequence-1].Body) != lines[n] {
			t.Errorf("line %d is said to be at %d, where it is not", result.Line, result.Sequence)
		}
	}
	if stored != answer.Stored || len(answer.Results)-stored != answer.Failed {
		t.Errorf("%d of %d results are ok, the sums are %d and %d", stored, len(answer.Results), answer.Stored, answer.Failed)
	}
	if len(records) != stored {
		t.Errorf("%d records, want the %d that were answered", len(records), stored)
	}
}

// expectUnavailable checks an answer of 503.
func (a reply) expectUnavailable(t *testing.T) {
	t.Helper()
	after := a.header.Get("Retry-After")
	if a.status != http.StatusServiceUnavailable || len(after) != 1 || after < "1" || after > "5" {
		t.Errorf("answered %d with Retry-After %q: %s, want 503 and 1 to 5", a.status, after, a.text)
	}
	if len(a.Results) == 0 && (a.Code != "unavailable" || a.Message == "") {
		t.Errorf("answered %s, want a problem", a.text)
	}
}
