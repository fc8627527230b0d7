package projections_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

func TestJSONThatBSONGivesBack(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`, `true`, `false`, `""`, `0`, `-1`, `2147483648`, `-9223372036854775808`, `9223372036854775807`,
		`0.1`, `-1.5`, `1e+21`, `1e-7`, `5e-324`, `1.7976931348623157e+308`, `10000000000000000000`,
		`{}`, `[]`, `[[],{},[[1]]]`, `{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"$set":{"a.b":1},"":2}`,
		`"\"\\\b\f\n\r\t\u0001\u001f"`, `"/<>&é🙂` + "\u2028\u007f" + `"`, `"\u0000"`,
		strings.Repeat(`[`, 90) + strings.Repeat(`]`, 90),
	} {
		if back, err := projections.RoundTrip([]byte(text)); err != nil || string(back) != text {
			t.Errorf("%.60s came back as %.60s, %v", text, back, err)
		}
	}
}

func TestJSONThatBSONChanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`1.0`:                   `1`,
		`1e2`:                   `100`,
		`-0`:                    `0`,
		`-0.0`:                  `0`,
		`1E400`:                 `null`,
		`9223372036854775809`:   `9223372036854776000`,
		`0.1000000000000000055`: `0.1`,
		`"\u00e9\/"`:            `"é/"`,
		`"\ud800"`:              `"` + "\ufffd" + `"`,
		`"\u000A"`:              `"\n"`,
	} {
		back, err := projections.RoundTrip([]byte(text))
		if err != nil || string(back) != want {
			t.Errorf("%s came back as %s, %v; want %s", text, back, err, want)
		}
	}
	for _, text := range []string{`{"a\u0000b":1}`, strings.Repeat(`[`, 91) + strings.Repeat(`]`, 91)} {
		if back, err := projections.RoundTrip([]byte(text)); err == nil {
			t.Errorf("%.40s came back as %.40s, want an error", text, back)
		}
	}
}

func TestOtherWritersValuesAsJSON(t *testing.T) {
	t.Parallel()
	id, _ := bson.ObjectIDFromHex("65f0a1b2c3d4e5f601020304")
	decimal, _ := bson.ParseDecimal128("1.50")
	doc, err := bson.Marshal(bson.D{
		{Key: "jobId", Value: "j"},
		{Key: "kind", Value: "domain"},
		{Key: "emittedAt", Value: stored},
		{Key: "event", Value: bson.D{
			{Key: "at", Value: stored},
			{Key: "id", Value: id},
			{Key: "long", Value: int64(1) << 53},
			{Key: "whole", Value: 1700000000000.0},
			{Key: "nan", Value: negativeZero() / negativeZero()},
			{Key: "binary", Value: bson.Binary{Data: []byte("hi")}},
			{Key: "decimal", Value: decimal},
			{Key: "stamp", Value: bson.Timestamp{T: 7, I: 1}},
			{Key: "bad", Value: "a\xffb"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	record, err := projections.DecodeRecord(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"kind":"domain","jobId":"j","event":{"at":"2026-03-01T12:00:00.000Z",` +
		`"id":"65f0a1b2c3d4e5f601020304","long":9007199254740992,"whole":1700000000000,"nan":null,"binary":"aGk=",` +
		`"decimal":{"$numberDecimal":"1.50"},"stamp":{"$timestamp":{"t":7,"i":1}},"bad":"a` + "\ufffd" + `b"}}`
	if string(record.Body) != want {
		t.Errorf("body\n%s\nwant\n%s", record.Body, want)
	}
	if record.EmittedAt != "2026-03-01T12:00:00.000Z" || record.Sequence != 0 {
		t.Errorf("record %+v", record)
	}
}

func negativeZero() float64 { zero := 0.0; return -zero }

func FuzzValue(f *testing.F) {
	for _, seed := range []string{`1.0`, `{"a":[1,-0,1e2,"\u00e9"]}`, `12345678901234567890`, `"\ud83d\ude00"`, `[[[]]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) || !utf8.Valid(text) {
			return
		}
		once, err := projections.RoundTrip(text)
		if err != nil {
			return
		}
		if !json.Valid(once) {
			t.Fatalf("%q came back as %q, which is not JSON", text, once)
		}
		twice, err := projections.RoundTrip(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q came back as %q and then as %q, %v", text, once, twice, err)
		}
	})
}

// FuzzEnvelope checks that a client gets the same from the log and from MongoDB.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"generation","jobId":"j","event":{"type":"a","occurredAt":"b","n":1.0}}`,
		` { "jobId" : "j", "kind":"domain", "event": {"type":"a","occurredAt":"b","v":[[1],{"$a.b":-0}]}, "x.y":1 } `,
		`{"kind":"job-status","jobId":"j","status":"running","snapshot":{"a":1,"a":2},"id":"7","traceparent":"00-a"}`,
		`{"kind":"job-status","jobId":"j","status":"failed","status":"queued","raw":"x","omitted":true,"_id":1}`,
		`{"kind":"job-status","jobId":"j","status":"queued","sequence":9,"epoch":"x","createdAt":"y","\u0000":1}`,
	} {
		f.Add([]byte(seed))
	}
	catalogue := messaging.DefaultCatalogue()
	f.Fuzz(func(t *testing.T, raw []byte) {
		envelope, err := catalogue.Decode(raw, messaging.DefaultMaxEventBytes)
		if err != nil {
			checkDocuments(t, messaging.Record{
				Position: messaging.Position{Epoch: epoch, Sequence: 1}, JobID: "j", Kind: "k", EmittedAt: "t", Body: raw,
			}, nil)
			return
		}
		logged := envelope.Record(stored)
		logged.Position = messaging.Position{Epoch: epoch, Sequence: 7}
		want, err := catalogue.AppendPayload(nil, logged)
		if err != nil {
			t.Fatal(err)
		}
		checkDocuments(t, logged, want)
	})
}

// checkDocuments checks that each shape that holds the event gives its payload.
func checkDocuments(t *testing.T, logged messaging.Record, want []byte) {
	t.Helper()
	for shape, doc := range projections.Documents(logged) {
		data, err := bson.Marshal(doc)
		if err != nil {
			t.Fatalf("shape %d: %v", shape, err)
		}
		back, err := projections.DecodeRecord(data)
		if want == nil {
			continue
		}
		if shape == 2 {
			if !errors.Is(err, projections.ErrIncomplete) {
				t.Fatalf("a bare document gives %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("shape %d: %v", shape, err)
		}
		got, err := messaging.DefaultCatalogue().AppendPayload(nil, back)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("shape %d: MongoDB gives\n%s, %v\nthe log\n%s", shape, got, err, want)
		}
		if back.TraceParent != logged.TraceParent || back.ID != logged.ID || back.EmittedAt != logged.EmittedAt {
			t.Fatalf("shape %d: record %+v, want %+v", shape, back, logged)
		}
	}
}

func FuzzDocument(f *testing.F) {
	for _, doc := range projections.Documents(generation(1, "j", chapter(1))) {
		data, err := bson.Marshal(doc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		record, err := projections.DecodeRecord(doc)
		if err != nil {
			if !errors.Is(err, projections.ErrIncomplete) && !errors.Is(err, projections.ErrMalformed) {
				t.Fatalf("error %v is of no sort", err)
			}
			return
		}
		if record.Sequence == 0 && !json.Valid(record.Body) {
			t.Fatalf("body %q is not JSON", record.Body)
		}
	})
}

func BenchmarkDocument(b *testing.B) {
	event := `{"type":"chapter.delta","occurredAt":"2026-03-01T12:00:00.000Z","text":"` +
		strings.Repeat("It was a dark and stormy night. ", 6) + `","chapter":7,"done":false,"tokens":[1,2,3]}`
	logged := generation(1, "job", event)
	logged.StoredAt = time.Now()
	doc, err := bson.Marshal(projections.Documents(logged)[0])
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bson.Marshal(projections.Documents(logged)[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := projections.DecodeRecord(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
