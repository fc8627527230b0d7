package messaging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/letswriteabook/realtime/messaging"
)

// FuzzDecode holds Decode and AppendPayload against encoding/json: they agree on
// what is JSON, on the values of the fields, and on how a value is compacted.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(sample()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		const limit = 1 << 16
		published := bytes.Clone(raw)
		envelope, err := messaging.DefaultCatalogue().Decode(raw, limit)
		if !bytes.Equal(raw, published) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			requireRejection(t, raw, limit, err)
			return
		}
		if !bytes.Equal(envelope.Raw, published) || messaging.ValidateJobID(envelope.JobID) != nil || len(envelope.ID) > messaging.MaxIDBytes {
			t.Fatalf("accepted %+v", envelope)
		}
		members := unmarshal[map[string]json.RawMessage](t, raw)
		if got, want := envelope.JobID, unmarshal[string](t, members["jobId"]); got != want {
			t.Fatalf("jobId %q, want %q", got, want)
		}
		if got, want := string(envelope.Kind), unmarshal[string](t, members["kind"]); got != want {
			t.Fatalf("kind %q, want %q", got, want)
		}
		record := envelope.Record(received)
		record.Sequence = 1188
		requirePayload(t, record, members)
	})
}

// requireRejection requires an error with the one reason that applies, in one
// line that the same bytes give again.
func requireRejection(t *testing.T, raw []byte, limit int, err error) {
	t.Helper()
	var rejection *messaging.Rejection
	if !errors.As(err, &rejection) {
		t.Fatalf("the error is no rejection: %v", err)
	}
	if text := rejection.Detail; text == "" || len(text) > 600 || strings.ContainsAny(text, "\n\r\x00\x1b") || !utf8.ValidString(text) {
		t.Fatalf("detail %q", text)
	}
	if got, want := rejection.Reason == messaging.ReasonTooLarge, len(raw) > limit; got != want {
		t.Fatalf("%d bytes: %v", len(raw), err)
	}
	// encoding/json gives up at 10,000 levels, which is no fault of the input.
	isObject := utf8.Valid(raw) && json.Valid(raw) && bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
	if got := rejection.Reason != messaging.ReasonInvalidJSON; got != isObject && len(raw) < 10_000 {
		t.Fatalf("encoding/json says %v: %v", isObject, err)
	}
	if _, again := messaging.DefaultCatalogue().Decode(raw, limit); again == nil || again.Error() != err.Error() {
		t.Fatalf("first %v, then %v", err, again)
	}
}

// requirePayload requires that payload and item of a record hold the members of
// its body, compacted.
func requirePayload(t *testing.T, record messaging.Record, members map[string]json.RawMessage) {
	t.Helper()
	payload, err := messaging.DefaultCatalogue().AppendPayload(nil, record)
	if err != nil {
		t.Fatal(err)
	}
	item, err := messaging.DefaultCatalogue().AppendItem(nil, record)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(payload) || bytes.ContainsAny(payload, "\n\r") {
		t.Fatalf("payload %q", payload)
	}
	if want := `{"kind":"` + string(record.Kind) + `",` + string(payload[1:]); string(item) != want {
		t.Fatalf("item %s, want %s", item, want)
	}
	fields := unmarshal[map[string]json.RawMessage](t, payload)
	if got := unmarshal[string](t, fields["jobId"]); got != strings.ToValidUTF8(record.JobID, "\ufffd") {
		t.Fatalf("jobId %q, want %q", got, record.JobID)
	}
	names := []string{"event"}
	if record.Kind == messaging.KindJobStatus {
		names = []string{"status", "snapshot"}
	}
	for _, name := range names {
		want := []byte("null")
		if value, ok := members[name]; ok {
			var compact bytes.Buffer
			if err := json.Compact(&compact, value); err != nil {
				t.Fatal(err)
			}
			want = compact.Bytes()
		}
		if !bytes.Equal(fields[name], want) {
			t.Fatalf("%s %s, want %s", name, fields[name], want)
		}
	}
}

// FuzzPayload gives AppendPayload records that no Decode has seen.
func FuzzPayload(f *testing.F) {
	f.Add("job-42", "e-1", "2025-01-31T12:00:00.000Z", []byte(`{"event":{"a":[1, 2]}}`))
	f.Fuzz(func(t *testing.T, jobID, id, emittedAt string, body []byte) {
		record := messaging.Record{Kind: messaging.KindDomain, JobID: jobID, ID: id, EmittedAt: emittedAt, Body: body}
		payload, err := messaging.DefaultCatalogue().AppendPayload(nil, record)
		if err != nil {
			if !errors.Is(err, messaging.ErrInvalidBody) || payload != nil {
				t.Fatalf("payload %q, %v", payload, err)
			}
			return
		}
		fields := unmarshal[map[string]json.RawMessage](t, payload)
		for name, want := range map[string]string{"jobId": jobID, "emittedAt": emittedAt, "id": id} {
			text := `""`
			if value, ok := fields[name]; ok {
				text = string(value)
			}
			// JSON has no bytes that are not UTF-8: each becomes one U+FFFD.
			if got := unmarshal[string](t, []byte(text)); got != string([]rune(want)) {
				t.Fatalf("%s %q, want %q", name, got, want)
			}
		}
		if bytes.ContainsAny(payload, "\n\r") || !utf8.Valid(payload) {
			t.Fatalf("payload %q", payload)
		}
	})
}

// FuzzToken requires of every jobId that its token is one subject token, and
// leads back to it alone.
func FuzzToken(f *testing.F) {
	f.Add("job-42")
	f.Fuzz(func(t *testing.T, jobID string) {
		token := messaging.Token(jobID)
		for _, c := range token {
			if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=", c) {
				t.Fatalf("token %q of %q", token, jobID)
			}
		}
		if got, err := messaging.ParseToken(token); jobID != "" && (err != nil || got != jobID) {
			t.Fatalf("token %q of %q leads to %q, %v", token, jobID, got, err)
		}
		// Read as a token, the same text has at most one meaning.
		if parsed, err := messaging.ParseToken(jobID); err == nil && messaging.Token(parsed) != jobID {
			t.Fatalf("%q is parsed as %q, whose token is %q", jobID, parsed, messaging.Token(parsed))
		}
	})
}

// FuzzParsePosition requires that what is read is written back the same.
func FuzzParsePosition(f *testing.F) {
	f.Add("e1:1188")
	f.Fuzz(func(t *testing.T, text string) {
		position, err := messaging.ParsePosition(text)
		if err != nil {
			if !errors.Is(err, messaging.ErrInvalidPosition) || position != (messaging.Position{}) {
				t.Fatalf("%q: %+v, %v", text, position, err)
			}
			return
		}
		if again, err := messaging.ParsePosition(position.String()); err != nil || again != position {
			t.Fatalf("%q: %+v, then %+v, %v", text, position, again, err)
		}
	})
}

func unmarshal[T any](t *testing.T, text []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}
