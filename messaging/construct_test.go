package messaging_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestConstructors(t *testing.T) {
	t.Parallel()
	type event struct {
		Type       string `json:"type"`
		OccurredAt string `json:"occurredAt"`
		Text       string `json:"text,omitempty"`
	}
	for _, test := range []struct {
		name string
		make func() (messaging.Envelope, error)
		want string
	}{
		{
			"generation",
			func() (messaging.Envelope, error) {
				return messaging.NewGeneration("job-42", event{"t", "now", "a < b & c"})
			},
			`{"version":1,"kind":"generation","jobId":"job-42","event":{"type":"t","occurredAt":"now","text":"a < b & c"}}`,
		},
		{
			"domain",
			func() (messaging.Envelope, error) { return messaging.NewDomain("job-42", event{"t", "now", ""}) },
			`{"version":1,"kind":"domain","jobId":"job-42","event":{"type":"t","occurredAt":"now"}}`,
		},
		{
			"job-status",
			func() (messaging.Envelope, error) {
				return messaging.NewJobStatus("job-42", "running", map[string]int{"chapter": 7})
			},
			`{"version":1,"kind":"job-status","jobId":"job-42","status":"running","snapshot":{"chapter":7}}`,
		},
		{
			"job-status without snapshot",
			func() (messaging.Envelope, error) { return messaging.NewJobStatus("job-42", "queued", nil) },
			`{"version":1,"kind":"job-status","jobId":"job-42","status":"queued"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			envelope, err := test.make()
			if err != nil {
				t.Fatal(err)
			}
			text, err := envelope.Encode()
			if err != nil || string(text) != test.want {
				t.Errorf("got  %s, %v\nwant %s", text, err, test.want)
			}
			envelope.ID = "e-1"
			if got := decode(t, messaging.DefaultCatalogue(), string(envelope.Record(received).Body)); got.ID != "e-1" {
				t.Errorf("an id that is set later is not encoded: %s", got.Raw)
			}
		})
	}
}

func TestConstructorsRefuse(t *testing.T) {
	t.Parallel()
	valid := map[string]string{"type": "t", "occurredAt": "now"}
	for _, test := range []struct {
		name   string
		make   func() (messaging.Envelope, error)
		detail string
	}{
		{"empty jobId", func() (messaging.Envelope, error) { return messaging.NewDomain("", valid) }, "jobId: must be"},
		{"jobId not UTF-8", func() (messaging.Envelope, error) { return messaging.NewDomain("a\xff", valid) }, "jobId: must be"},
		{"long jobId", func() (messaging.Envelope, error) { return messaging.NewDomain(strings.Repeat("a", 257), valid) }, "jobId: must be"},
		{"no event", func() (messaging.Envelope, error) { return messaging.NewGeneration("job-42", nil) }, "event: must be of type object, not null"},
		{"no type", func() (messaging.Envelope, error) { return messaging.NewGeneration("job-42", struct{}{}) }, "event.type: is required"},
		{"unknown status", func() (messaging.Envelope, error) { return messaging.NewJobStatus("job-42", "lost", nil) }, "status: must be one of"},
		{"no status", func() (messaging.Envelope, error) { return messaging.NewJobStatus("job-42", "", nil) }, "status: is required"},
		{"snapshot no object", func() (messaging.Envelope, error) { return messaging.NewJobStatus("job-42", "queued", 7) }, "snapshot: must be of type null or object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := test.make()
			var rejection *messaging.Rejection
			if !errors.As(err, &rejection) || !strings.Contains(rejection.Detail, test.detail) {
				t.Errorf("got %v, want %s", err, test.detail)
			}
		})
	}
	if _, err := messaging.NewGeneration("job-42", math.NaN()); err == nil {
		t.Error("an event that cannot be marshalled was accepted")
	}
	if _, err := messaging.NewJobStatus("job-42", "queued", math.NaN()); err == nil {
		t.Error("a snapshot that cannot be marshalled was accepted")
	}
}

func TestRecordOfAnEnvelope(t *testing.T) {
	t.Parallel()
	raw := with(`"id":"e-1","emittedAt":"2025-01-31T13:00:00+01:00","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`)
	got := decode(t, messaging.DefaultCatalogue(), raw).Record(received)
	if got.JobID != "job-42" || got.Kind != messaging.KindJobStatus || got.ID != "e-1" || got.MessageID != "e-1" ||
		got.EmittedAt != "2025-01-31T13:00:00+01:00" || got.TraceParent == "" || string(got.Body) != raw ||
		got.Position != (messaging.Position{}) || !got.StoredAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	got = decode(t, messaging.DefaultCatalogue(), with(`"x":0`)).Record(received)
	if got.ID != "" || got.MessageID != "" || got.EmittedAt != "2025-01-31T12:00:05.000Z" {
		t.Errorf("got %+v", got)
	}
	broken := messaging.Envelope{Kind: messaging.KindDomain, JobID: "job-42", Event: []byte("{")}
	if _, err := broken.Encode(); err == nil {
		t.Error("an event that is not JSON was encoded")
	}
	if got := broken.Record(received).Body; got != nil {
		t.Errorf("body %s, want none", got)
	}
}
