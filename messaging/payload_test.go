package messaging_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestAppendPayload(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		record messaging.Record
		want   string
	}{
		{
			"in the log, with an id",
			messaging.Record{
				Position: messaging.Position{Sequence: 18446744073709551615},
				Kind:     messaging.KindDomain, JobID: "job-42", ID: "e-1", EmittedAt: "now", Body: []byte(`{"event":{}}`),
			},
			`"jobId":"job-42","emittedAt":"now","event":{},"sequence":18446744073709551615,"id":"e-1"}`,
		},
		{
			"of an older writer",
			messaging.Record{Kind: messaging.KindJobStatus, JobID: "job-42", EmittedAt: "now", Body: []byte(`{"status":"queued"}`)},
			`"jobId":"job-42","emittedAt":"now","status":"queued","snapshot":null}`,
		},
		{
			"without its fields",
			messaging.Record{Kind: messaging.KindJobStatus, JobID: "job-42", EmittedAt: "now", Body: []byte(`{}`)},
			`"jobId":"job-42","emittedAt":"now","status":null,"snapshot":null}`,
		},
		{
			"what a text may hold",
			messaging.Record{Kind: messaging.KindDomain, JobID: "\"\\\n\r\t\b\x00\x1f\x7f<é\u2028😀\xff\xed\xa0\x80", EmittedAt: "", Body: []byte(`{}`)},
			`"jobId":"\"\\\n\r\t\u0008\u0000\u001F` + "\x7f<é\u2028😀\ufffd\ufffd\ufffd\ufffd" + `","emittedAt":"","event":null}`,
		},
		{
			"space of every sort",
			messaging.Record{Kind: messaging.KindDomain, JobID: "j", EmittedAt: "", Body: []byte(" {\r\n\t\"event\" :\t[ \"a b\" ,\n{ \"c\\\\\" : \"\\\" \" } , [ ] ] , \"x\" : 1 } ")},
			`"jobId":"j","emittedAt":"","event":["a b",{"c\\":"\" "},[]]}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := messaging.DefaultCatalogue()
			payload, err := c.AppendPayload([]byte("before"), test.record)
			if want := "before{" + test.want; err != nil || string(payload) != want {
				t.Errorf("payload %s, %v\nwant    %s", payload, err, want)
			}
			item, err := c.AppendItem(nil, test.record)
			if want := `{"kind":"` + string(test.record.Kind) + `",` + test.want; err != nil || string(item) != want {
				t.Errorf("item %s, %v\nwant %s", item, err, want)
			}
			if !json.Valid(item) {
				t.Errorf("not JSON: %s", item)
			}
		})
	}
}

func TestAppendPayloadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		record messaging.Record
		want   error
	}{
		"unknown kind":    {messaging.Record{Kind: "dance", Body: []byte(`{}`)}, messaging.ErrUnknownKind},
		"no body":         {messaging.Record{Kind: messaging.KindDomain}, messaging.ErrInvalidBody},
		"not JSON":        {messaging.Record{Kind: messaging.KindDomain, Body: []byte(`{"event":1]`)}, messaging.ErrInvalidBody},
		"not an object":   {messaging.Record{Kind: messaging.KindDomain, Body: []byte(`[1]`)}, messaging.ErrInvalidBody},
		"not UTF-8":       {messaging.Record{Kind: messaging.KindDomain, Body: []byte("{\"event\":\"\xff\"}")}, messaging.ErrInvalidBody},
		"something after": {messaging.Record{Kind: messaging.KindDomain, Body: []byte("{}\n\ndata: x")}, messaging.ErrInvalidBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload, err := messaging.DefaultCatalogue().AppendPayload([]byte("before"), test.record)
			if !errors.Is(err, test.want) || string(payload) != "before" {
				t.Errorf("payload: got %q, %v", payload, err)
			}
			item, err := messaging.DefaultCatalogue().AppendItem([]byte("before"), test.record)
			if !errors.Is(err, test.want) || string(item) != "before" {
				t.Errorf("item: got %q, %v", item, err)
			}
		})
	}
	var none messaging.Catalogue
	if _, err := none.AppendPayload(nil, messaging.Record{Kind: messaging.KindDomain}); !errors.Is(err, messaging.ErrUnknownKind) {
		t.Errorf("a catalogue without kinds: %v", err)
	}
}

// A payload is built once for each wire format of each event, on the way to
// every client: it must not feed the garbage collector.
func TestAllocationBudget(t *testing.T) {
	c := messaging.DefaultCatalogue()
	raw := []byte(sample())
	record := decode(t, c, string(raw)).Record(received)
	record.Sequence = 1188
	buffer := make([]byte, 0, 1024)
	var failure error
	for _, test := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"AppendPayload", 0, func() { _, failure = c.AppendPayload(buffer, record) }},
		{"AppendItem", 0, func() { _, failure = c.AppendItem(buffer, record) }},
		{"Token", 0, func() { _ = messaging.Token("job-42") }},
		{"Decode", 110, func() { _, failure = c.Decode(raw, len(raw)) }},
	} {
		if got := testing.AllocsPerRun(100, test.run); got > test.budget || failure != nil {
			t.Errorf("%s allocates %v times, want at most %v (%v)", test.name, got, test.budget, failure)
		}
	}
}

// sample returns an envelope of a usual size, about 330 bytes.
func sample() string {
	return `{"version":1,"kind":"generation","jobId":"job-42","event":{"type":"chapter.completed",` +
		`"occurredAt":"2025-01-31T12:00:00.000Z","chapter":7,"words":2841,"text":"` + strings.Repeat("It was a dark night. ", 4) +
		`","usage":{"in":1200,"out":340}},"id":"01JD3M8Q4Y0V6T2K9F5B7N1C0R","emittedAt":"2025-01-31T12:00:00.000Z"}`
}
