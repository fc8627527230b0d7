package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/replay"
)

func TestLines(t *testing.T) {
	t.Parallel()
	record := messaging.Record{
		Position: messaging.Position{Epoch: "e", Sequence: 7}, JobID: "a", Kind: messaging.KindDomain, ID: "x",
		EmittedAt: "2026-01-02T03:04:05.678Z", StoredAt: time.Unix(1000, 5).UTC(), ReplayOf: messaging.Position{Epoch: "e", Sequence: 3},
		Body: []byte("{\"big\": 12345678901234567890,\n \"text\": \"<a> & \\u00e9\"}"),
	}
	var out bytes.Buffer
	sink := replay.Lines(&out)
	bad := record
	bad.Body = []byte("no JSON")
	if err := sink.Take(t.Context(), bad); !errors.Is(err, replay.ErrUnfit) {
		t.Errorf("a body that is no JSON: %v", err)
	}
	if err := errors.Join(sink.Take(t.Context(), record), sink.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := `{"sequence":7,"epoch":"e","jobId":"a","kind":"domain","id":"x","emittedAt":"2026-01-02T03:04:05.678Z",` +
		`"storedAt":"1970-01-01T00:16:40.000000005Z","replayOf":"e:3","envelope":{"big":12345678901234567890,"text":"<a> & \u00e9"}}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
	var line replay.Line
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Sequence != 7 {
		t.Errorf("reads as %+v, %v", line, err)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	var sizes []int
	fail := true
	sink := replay.Batches(func(_ context.Context, records []messaging.Record) error {
		if fail {
			return errBroken
		}
		sizes = append(sizes, len(records))
		return nil
	})
	for range 3 {
		if err := sink.Take(t.Context(), messaging.Record{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Flush(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	fail = false
	for range 2 { // nothing is written twice
		if err := sink.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(sizes) != 1 || sizes[0] != 3 {
		t.Errorf("batches of %v", sizes)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	for _, run := range []string{"a", "A-z_9", strings.Repeat("r", 64)} {
		if err := replay.CheckRun(run); err != nil {
			t.Errorf("%q: %v", run, err)
		}
	}
	for _, run := range []string{"", "a/b", "é", "a b", "a.b", strings.Repeat("r", 65)} {
		if err := replay.CheckRun(run); !errors.Is(err, replay.ErrRun) {
			t.Errorf("%q: %v", run, err)
		}
	}
}

// FuzzParseBound: any text is a sequence, a time, or refused.
func FuzzParseBound(f *testing.F) {
	for _, seed := range []string{"1", "0", "e:7", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.5+01:00", "0001-01-01T00:00:00Z", "end", "-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bound, err := replay.ParseBound(text)
		switch {
		case err != nil && !errors.Is(err, replay.ErrBound):
			t.Errorf("%q: %v", text, err)
		case err == nil && bound.At.IsZero() == (bound.Position.Sequence == 0):
			t.Errorf("%q is %+v", text, bound)
		}
	})
}

// FuzzTypeOf: any body has a type or none.
func FuzzTypeOf(f *testing.F) {
	for _, seed := range []string{`{"event":{"type":"t"}}`, `{"event":[]}`, `{"event":{"type":1}}`, "x", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if kind := replay.TypeOf(body); kind != "" && !json.Valid(body) {
			t.Errorf("%q has the type %q", body, kind)
		}
	})
}
