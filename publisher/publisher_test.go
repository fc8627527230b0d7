package publisher_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

func TestEveryEventIsConfirmedInOrder(t *testing.T) {
	t.Parallel()
	for name, swallow := range map[string]func(string, int) bool{
		"at once":            nil,
		"the third time":     func(_ string, times int) bool { return times < 3 },
		"every other event":  func(id string, times int) bool { return times == 1 && strings.HasSuffix(id, "3") },
		"twice what is late": func(id string, times int) bool { return times < 5 && strings.HasSuffix(id, "0") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := startRedis(t)
			l := startLog(t, client, swallow)
			p, stop := run(t, client, quick())
			all, want := publishAll(t, p, 5, 10)
			for _, pending := range all {
				if receipt, err := wait(t, pending); err != nil || receipt.ID != pending.ID() {
					t.Fatalf("receipt %+v, %v", receipt, err)
				}
			}
			if got := l.await(t, len(all)); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("stored %v", got)
			}
			if events, bytes := p.Waiting(); events != 0 || bytes != 0 {
				t.Errorf("%d events of %d bytes wait", events, bytes)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A producer that publishes before there is a subscriber waits; nothing is lost.
func TestGatewayComesLater(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	p, _ := run(t, client, quick())
	all, want := publishAll(t, p, 2, 5)
	l := startLog(t, client, nil)
	if got := l.await(t, len(all)); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored %v", got)
	}
}

func TestIDsAreMade(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	l := startLog(t, client, nil)
	p, _ := run(t, client, quick())
	raw := `{"kind" : "job-status", "jobId":"job","status":"running","extra":{"z":1.0,"a":"<"}}`
	envelope, err := messaging.DefaultCatalogue().Decode([]byte(raw), len(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, envelope := range []messaging.Envelope{event(t, "job", ""), event(t, "job", ""), envelope} {
		pending, err := p.Publish(t.Context(), envelope)
		if err != nil || pending.ID() == "" {
			t.Fatalf("%+v, %v", pending, err)
		}
	}
	l.await(t, 3)
	if !strings.Contains(l.bodies[2], `"extra":{"z":1.0,"a":"<"}`) && !strings.Contains(l.bodies[2], `"extra":{"z":1.0,"a":"\u003c"}`) {
		t.Errorf("published %s", l.bodies[2])
	}
}

func TestFullOutbox(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	var full atomic.Int64
	cfg := quick()
	cfg.MaxEvents = 3
	cfg.OnFull = func(int, int) { full.Add(1) }
	p, _ := run(t, client, cfg)
	publishAll(t, p, 3, 1)
	for range 2 {
		if _, err := p.TryPublish(event(t, "one", "more")); !errors.Is(err, publisher.ErrFull) {
			t.Fatalf("error %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Publish(ctx, event(t, "one", "more")); !errors.Is(err, publisher.ErrFull) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if full.Load() != 1 {
		t.Errorf("told %d times", full.Load())
	}
	waiting := make(chan error, 1)
	go func() { // ends when there is room
		_, err := p.Publish(context.Background(), event(t, "one", "more"))
		waiting <- err
	}()
	l := startLog(t, client, nil)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	l.await(t, 4)
}

func TestWhatIsNotTakenIn(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxEventBytes = 200
	p, err := publisher.New(nowhere(t), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for want, envelope := range map[messaging.Reason]messaging.Envelope{
		messaging.ReasonSchemaViolation: {Version: 1, Kind: messaging.KindJobStatus, JobID: "job", Status: "paused"},
		messaging.ReasonUnknownKind:     {Version: 1, Kind: "unheard-of", JobID: "job"},
		messaging.ReasonTooLarge:        {Version: 1, Kind: messaging.KindDomain, JobID: strings.Repeat("j", 250)},
	} {
		var rejection *messaging.Rejection
		if _, err := p.TryPublish(envelope); !errors.As(err, &rejection) || rejection.Reason != want {
			t.Errorf("%s: error %v", want, err)
		}
	}
	first, err := p.TryPublish(event(t, "job", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.TryPublish(event(t, "job", "a")); err != nil || again != first {
		t.Errorf("the same event again: %v, %v", again, err)
	}
	traced := event(t, "job", "a")
	traced.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if again, err := p.TryPublish(traced); err != nil || again != first {
		t.Errorf("the same event in another trace: %v, %v", again, err)
	}
	other, err := messaging.NewDomain("job", map[string]any{"type": "step", "occurredAt": "later"})
	if err != nil {
		t.Fatal(err)
	}
	other.ID = "a"
	if _, err := p.TryPublish(other); !errors.Is(err, publisher.ErrIDTaken) {
		t.Errorf("another event of the job with its id: %v", err)
	}
	if _, err := p.TryPublish(event(t, "other", "a")); err != nil {
		t.Errorf("an event of another job with its id: %v", err)
	}
	// Its run is over at once, with the event unsent.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(over); !errors.Is(err, publisher.ErrUnconfirmed) {
		t.Errorf("run: %v", err)
	}
	if _, err := wait(t, first); !errors.Is(err, publisher.ErrUnconfirmed) {
		t.Errorf("receipt: %v", err)
	}
	if _, err := p.TryPublish(event(t, "job", "b")); !errors.Is(err, publisher.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// An event without a receipt is given up, and no longer delays its job.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	l := startLog(t, client, func(id string, _ int) bool { return id == "poison" })
	cfg := quick()
	cfg.GiveUpAfter = 300 * time.Millisecond
	rejected := make(chan string, 2) // on a slow machine the other as well
	cfg.OnRejected = func(id, jobID string, _ error) { rejected <- jobID + " " + id }
	p, _ := run(t, client, cfg)
	poison, err := p.Publish(t.Context(), event(t, "job", "poison"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), event(t, "job", "next")); err != nil {
		t.Fatal(err)
	}
	if _, err := wait(t, poison); !errors.Is(err, publisher.ErrGivenUp) {
		t.Errorf("error %v", err)
	}
	if got := <-rejected; got != "job poison" {
		t.Errorf("rejected %q", got)
	}
	l.await(t, 1)
}

// While Redis is away, events go over HTTP, and what is refused there is told.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/realtime/events" || r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("%s, %s", r.URL, r.Header)
		}
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"a","jobId":"job","sequence":7,"duplicate":false}`))
		default:
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"code":"id-conflict","message":"the log has it with another body"}`))
		}
	}))
	defer gateway.Close()
	cfg := quick()
	cfg.URL, cfg.Token = gateway.URL+"/", "token"
	p, stop := run(t, nowhere(t), cfg)
	first, _ := p.Publish(t.Context(), event(t, "job", "a"))
	second, _ := p.Publish(t.Context(), event(t, "job", "b"))
	if receipt, err := wait(t, first); err != nil || receipt.Sequence != 7 {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
	var rejection *messaging.Rejection
	if _, err := wait(t, second); !errors.As(err, &rejection) || rejection.Reason != messaging.ReasonIDConflict {
		t.Errorf("error %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
