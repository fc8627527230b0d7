package messaging_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// with returns a valid job-status envelope with further members.
func with(members string) string {
	return `{"kind":"job-status","jobId":"job-42","status":"running",` + members + `}`
}

func TestDecodeReadsEveryField(t *testing.T) {
	t.Parallel()
	raw := `{"version":1,"kind":"generation","jobId":"job-42","event":{"type":"t","occurredAt":"now"},` +
		`"id":"e-1","emittedAt":"2025-01-31T12:00:00+01:00",` +
		`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","extra":[1]}`
	got := decode(t, messaging.DefaultCatalogue(), raw)
	if got.Version != 1 || got.Kind != messaging.KindGeneration || got.JobID != "job-42" || got.ID != "e-1" ||
		got.EmittedAt != "2025-01-31T12:00:00+01:00" ||
		got.TraceParent != "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" ||
		string(got.Event) != `{"type":"t","occurredAt":"now"}` || string(got.Raw) != raw {
		t.Errorf("got %+v", got)
	}
	status := decode(t, messaging.DefaultCatalogue(), with(`"snapshot":{"a": 1}`))
	if status.Version != 1 || status.Status != "running" || string(status.Snapshot) != `{"a": 1}` {
		t.Errorf("got %+v", status)
	}
}

// The reasons are checked in the documented order, so each case breaks one more
// rule than the one after it.
func TestDecodeRejectsInOrder(t *testing.T) {
	t.Parallel()
	const limit = 80
	pad := strings.Repeat(" ", limit)
	for _, test := range []struct {
		raw    string
		reason messaging.Reason
	}{
		{`{"version":2,"kind":"nobody's"` + "\xff" + pad, messaging.ReasonTooLarge},
		{`{"version":2,"kind":"nobody's"` + "\xff}", messaging.ReasonInvalidJSON},
		{`{"version":2,"kind":"nobody's"`, messaging.ReasonInvalidJSON},
		{`{"version":2,"kind":"nobody's"}{}`, messaging.ReasonInvalidJSON},
		{`{"version":2,"kind":"nobody's"}`, messaging.ReasonUnsupportedVersion},
		{`{"version":2,"kind":7}`, messaging.ReasonUnsupportedVersion},
		{`{"version":0,"kind":"nobody's"}`, messaging.ReasonSchemaViolation},
		{`{"version":1,"kind":"nobody's"}`, messaging.ReasonUnknownKind},
		{`{"version":1,"kind":"domain"}`, messaging.ReasonSchemaViolation},
	} {
		_, err := messaging.DefaultCatalogue().Decode([]byte(test.raw), limit)
		var rejection *messaging.Rejection
		if !errors.As(err, &rejection) || rejection.Reason != test.reason {
			t.Errorf("%s: got %v, want %s", test.raw, err, test.reason)
		}
	}
}

func TestDecodeSizeIsExact(t *testing.T) {
	t.Parallel()
	raw := []byte(with(`"x":0`))
	for _, test := range []struct {
		maxBytes int
		fits     bool
	}{{len(raw) - 1, false}, {len(raw), true}, {len(raw) + 1, true}} {
		_, err := messaging.DefaultCatalogue().Decode(raw, test.maxBytes)
		if fits := err == nil; fits != test.fits {
			t.Errorf("%d bytes, at most %d: got %v", len(raw), test.maxBytes, err)
		}
	}
}

func TestDecodeAccepts(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"space around":              " \t\r\n" + with(`"x":0`) + " \n",
		"version 1.0":               with(`"version":1.0`),
		"version 1e0":               with(`"version":1e0`),
		"escaped keys":              `{"k\u0069nd":"job-status","\u006aobId":"job-42","status":"running"}`,
		"names in another case":     with(`"JobId":7,"STATUS":"lost","Kind":"nobody's","Version":2`),
		"the later of two":          `{"kind":"domain","kind":"job-status","jobId":"","jobId":"job-42","status":"running"}`,
		"jobId of 256 bytes":        with(`"jobId":"` + strings.Repeat("é", 128) + `"`),
		"jobId with wildcards":      with(`"jobId":"a.*.>"`),
		"jobId in surrogates":       with(`"jobId":"\ud83d\ude00"`),
		"jobId of the replacement":  with(`"jobId":"\ufffd"`),
		"id of 128 bytes":           with(`"id":"` + strings.Repeat("é", 64) + `"`),
		"empty id":                  with(`"id":""`),
		"numbers beyond a float64":  with(`"snapshot":{"n":[1e400,-1e400,1e-400,123456789012345678901234567890,1e999999999]}`),
		"depth 90":                  with(`"x":` + nested(89)),
		"no time in occurredAt":     `{"kind":"domain","jobId":"job-42","event":{"type":"t","occurredAt":"yesterday"}}`,
		"prototype names":           with(`"__proto__":{"constructor":1}`),
		"emittedAt in lower case":   with(`"emittedAt":"2025-01-31t12:00:00z"`),
		"emittedAt of a leap":       with(`"emittedAt":"2016-12-31T23:59:60Z"`),
		"emittedAt to nanoseconds":  with(`"emittedAt":"2025-01-31T12:00:00.123456789-07:30"`),
		"emittedAt, long fraction":  with(`"emittedAt":"2025-01-31T12:00:00.123456789012345678901234567890Z"`),
		"line separators in a text": with(`"snapshot":{"text":"` + "\u2028\u2029" + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decode(t, messaging.DefaultCatalogue(), raw)
		})
	}
}

func TestDecodeNamesTheFieldAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	const (
		jobID     = "jobId: must be a non-empty string of at most 256 bytes without control characters"
		id        = "id: must be a string of at most 128 bytes"
		emittedAt = "emittedAt: must be an RFC 3339 time, such as 2006-01-02T15:04:05.000Z"
		version   = "version: must be a whole number of 1 or more"
		kind      = `kind: must be one of "domain", "generation", "job-status"`
	)
	for _, test := range []struct{ raw, detail string }{
		{`{"jobId":"job-42"}`, kind},
		{`{"kind":null}`, kind},
		{`{"kind":["domain"]}`, kind},
		{with(`"version":null`), version},
		{with(`"version":"1"`), version},
		{with(`"version":1.5`), version},
		{with(`"version":-1`), version},
		{with(`"version":1e-999999999`), version},
		{with(`"version":[1]`), version},
		{`{"kind":"domain"}`, jobID},
		{with(`"jobId":null`), jobID},
		{with(`"jobId":42`), jobID},
		{with(`"jobId":""`), jobID},
		{with(`"jobId":"a\nb"`), jobID},
		{with(`"jobId":"a\u0085b"`), jobID},
		{with(`"jobId":"` + strings.Repeat("a", 257) + `"`), jobID},
		{with(`"jobId":"` + strings.Repeat("é", 128) + `a"`), jobID},
		{with(`"jobId":"\ud800"`), jobID},
		{with(`"jobId":"\ud800x"`), jobID},
		{with(`"jobId":"\ud800\n12345"`), jobID},
		{with(`"jobId":"\ud800\ud800"`), jobID},
		{with(`"jobId":"\udc00\ud800"`), jobID},
		{with(`"id":null`), id},
		{with(`"id":7`), id},
		{with(`"id":"` + strings.Repeat("é", 64) + `a"`), id},
		{with(`"id":"\udfff"`), id},
		{with(`"emittedAt":null`), emittedAt},
		{with(`"emittedAt":1738324800000`), emittedAt},
		{with(`"emittedAt":""`), emittedAt},
		{with(`"emittedAt":"2025-01-31"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:00"`), emittedAt},
		{with(`"emittedAt":"2025-01-31 12:00:00Z"`), emittedAt},
		{with(`"emittedAt":"2025-02-29T12:00:00Z"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T24:00:00Z"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T+1:00:00Z"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:00+-1:00"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:00,5Z"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:00+24:00"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:61Z"`), emittedAt},
		{with(`"emittedAt":"2025-01-31T12:00:00Z\n"`), emittedAt},
		{with(`"x":` + nested(90)), "nested 91 levels deep: at most 90 are allowed"},
		{with(`"x":` + nested(100_000)), "nested 100001 levels deep: at most 90 are allowed"},
		{`{"kind":"job-status","jobId":"job-42"}`, "status: is required"},
		{with(`"status":"lost"`), `status: must be one of "queued", "running", "completed", "failed"`},
		{with(`"status":null`), "status: must be of type string, not null"},
		{with(`"snapshot":[]`), "snapshot: must be of type null or object, not array"},
		{`{"kind":"domain","jobId":"job-42"}`, "event: is required"},
		{`{"kind":"domain","jobId":"job-42","event":"t"}`, "event: must be of type object, not string"},
		{`{"kind":"domain","jobId":"job-42","event":{}}`, "event.type: is required"},
		{`{"kind":"domain","jobId":"job-42","event":{"Type":"t","occurredAt":"now"}}`, "event.type: is required"},
		{`{"kind":"domain","jobId":"job-42","event":{"type":"t"}}`, "event.occurredAt: is required"},
		{`{"kind":"generation","jobId":"job-42","event":{"type":"","occurredAt":"now"}}`, "event.type: must not be empty"},
		{`{"kind":"generation","jobId":"job-42","event":{"type":"t","occurredAt":7}}`, "event.occurredAt: must be of type string, not number"},
		{`{"kind":"generation","jobId":"job-42","event":{"type":7,"occurredAt":7}}`, "event.occurredAt: must be of type string, not number"},
	} {
		_, err := messaging.DefaultCatalogue().Decode([]byte(test.raw), messaging.DefaultMaxEventBytes)
		want := messaging.Rejection{Reason: messaging.ReasonSchemaViolation, Detail: test.detail}
		var rejection *messaging.Rejection
		if !errors.As(err, &rejection) || *rejection != want {
			t.Errorf("%.120s:\n got %v\nwant %v", test.raw, err, &want)
		}
	}
}

func TestDecodeRejectsWhatIsNotOneObject(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"", " ", "null", "true", "7", `"text"`, "[]", "[{}]", "{", "}", "{}}", "{} {}", "{},", "\ufeff{}", "{}\x00",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{"a":'b'}`, `{"a":[1,]}`, `{"a":[1}`, `{"a":{]}`,
		`{"a":[`, `{"a":[1`, `{"a":{`, `{"a":{"b"`, `{"a":{"b":`, `{"a":{"b":1`, `{"a":{"b":1,}}`, `{"a":{"b" 1}}`, `{"a":{1:1}}`,
		`{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":Infinity}`,
		`{"a":tru}`, `{"a":nul}`, `{"a":falsy}`, `{"a":True}`, `{"a":"`, `{"a":"\`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u12`,
		"{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\x80\"}", "{/**/}", "{}//",
		strings.Repeat("[", 100_000), `{"a":` + strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
	} {
		_, err := messaging.DefaultCatalogue().Decode([]byte(raw), messaging.DefaultMaxEventBytes)
		var rejection *messaging.Rejection
		if !errors.As(err, &rejection) || rejection.Reason != messaging.ReasonInvalidJSON {
			t.Errorf("%.60q: got %v", raw, err)
		}
	}
}

func TestDecodeDropsWhatIsNoTraceContext(t *testing.T) {
	t.Parallel()
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	valid := "00-" + trace + "-" + parent + "-01"
	for value, want := range map[string]string{
		`"` + valid + `"`:                                          valid,
		`"cc-` + valid[3:] + `-later"`:                             "cc-" + valid[3:] + "-later",
		`"cc-` + valid[3:] + `"`:                                   "cc-" + valid[3:],
		`"cc-` + valid[3:] + `later"`:                              "",
		`"` + valid + `-later"`:                                    "",
		`"ff-` + valid[3:] + `"`:                                   "",
		`"` + valid[1:] + `"`:                                      "",
		`"` + strings.ToUpper(valid) + `"`:                         "",
		`"00-` + strings.Repeat("0", 32) + "-" + parent + `-01"`:   "",
		`"00-` + trace + "-" + strings.Repeat("0", 16) + `-01"`:    "",
		`"00_` + trace + "-" + parent + `-01"`:                     "",
		`"cc-` + valid[3:] + `-a\r\nNats-Msg-Id: x"`:               "",
		`"cc-` + valid[3:] + "-" + strings.Repeat("a", 1000) + `"`: "",
		`""`:   "",
		`null`: "",
		`7`:    "",
		`{}`:   "",
	} {
		if got := decode(t, messaging.DefaultCatalogue(), with(`"traceparent":`+value)).TraceParent; got != want {
			t.Errorf("%.100s: got %q, want %q", value, got, want)
		}
	}
}

// Details reach logs, headers and terminals: whatever the publisher wrote, they
// are one short line.
func TestDecodeDetailsAreShortAndOneLine(t *testing.T) {
	t.Parallel()
	hostile := strings.Repeat(`\n\u001b[31m\u2028`, 10_000)
	for _, raw := range []string{
		`{"kind":"` + hostile + `"}`,
		`{"version":2` + strings.Repeat("0", 10_000) + `}`,
		with(`"jobId":"` + hostile + `"`),
		with(`"status":"` + hostile + `"`),
		with(`"emittedAt":"` + hostile + `"`),
	} {
		_, err := messaging.DefaultCatalogue().Decode([]byte(raw), messaging.DefaultMaxEventBytes)
		if err == nil {
			t.Fatalf("accepted %.60s", raw)
		}
		if text := err.Error(); len(text) > 512 || strings.ContainsAny(text, "\n\r\x1b\u2028") {
			t.Errorf("%.60s: got %d bytes: %.600q", raw, len(text), text)
		}
	}
}

// nested returns an array that nests n levels deep.
func nested(n int) string {
	return fmt.Sprintf("%s%s", strings.Repeat("[", n), strings.Repeat("]", n))
}
