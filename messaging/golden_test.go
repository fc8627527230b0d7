package messaging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// addGolden writes the fixtures that are not there yet. Those that are there are
// what clients and workers in the field rely on: they never change.
var addGolden = flag.Bool("add-golden", false, "write the golden fixtures that are missing")

const golden = "testdata/v1"

// TestGoldenAccepted reads every envelope in accepted/, and compares what a
// client gets of it with payloads/, items/ and replays/ of the same name.
func TestGoldenAccepted(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures(t, "accepted") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := readFixture(t, "accepted", name)
			envelope, err := messaging.DefaultCatalogue().Decode(raw, messaging.DefaultMaxEventBytes)
			if err != nil {
				t.Fatal(err)
			}
			record := envelope.Record(received)
			record.Position = messaging.Position{Epoch: "e1", Sequence: 1188}
			if !bytes.Equal(record.Body, raw) {
				t.Errorf("body %s, want the envelope as it was published", record.Body)
			}
			payload, err := messaging.DefaultCatalogue().AppendPayload(nil, record)
			if err != nil {
				t.Fatal(err)
			}
			compareFixture(t, "payloads", name, payload)
			item, err := messaging.DefaultCatalogue().AppendItem(nil, record)
			if err != nil {
				t.Fatal(err)
			}
			compareFixture(t, "items", name, item)
			again := messaging.Replay{Record: record, Room: "the \"room\"", Run: "r1"}
			replay, err := messaging.DefaultCatalogue().AppendReplay(nil, again)
			if err != nil {
				t.Fatal(err)
			}
			compareFixture(t, "replays", name, replay)
			requireValid(t, string(envelope.Kind)+"-payload", replay)
		})
	}
}

// TestGoldenRejected reads every envelope in rejected/, and compares why it is
// refused with the text file of the same name.
func TestGoldenRejected(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures(t, "rejected") {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := messaging.DefaultCatalogue().Decode(readFixture(t, "rejected", name), 1000)
			var rejection *messaging.Rejection
			if !errors.As(err, &rejection) {
				t.Fatalf("got %v, want a rejection", err)
			}
			compareFixture(t, "rejected", strings.TrimSuffix(name, ".json")+".txt", []byte(rejection.Error()+"\n"))
		})
	}
}

// controls are the payloads that do not come from a record, as this service
// writes them. Their names say which schema they match.
func controls() map[string]any {
	number := func(n int) *int { return &n }
	limit := messaging.NewProblem(messaging.CodeSubscriptionLimitReached)
	limit.JobID, limit.Limit, limit.Current = "job-42", number(20), number(20)
	full := messaging.NewProblem(messaging.CodeMaxConnectionsExceeded)
	full.Limit, full.Current, full.RetryAfterMs = number(100), number(100), number(1850)
	unsubscribe := messaging.NewProblem(messaging.CodeJobIDRequired)
	unsubscribe.Message = messaging.MessageJobIDRequiredToUnsubscribe
	return map[string]any{
		"subscribed":               messaging.Subscribed{JobID: "job-42", SubscribedAt: messaging.FormatTime(received)},
		"unsubscribed":             messaging.Unsubscribed{JobID: "job-42", UnsubscribedAt: messaging.FormatTime(received)},
		"pong":                     messaging.Pong{Timestamp: received.UnixMilli()},
		"caught-up":                messaging.CaughtUp{JobID: "job-42", From: 1187, To: 1254, Replayed: 12, Source: messaging.SourceMongoDB},
		"caught-up.nothing":        messaging.CaughtUp{JobID: "job-42", Source: messaging.SourceNone},
		"subscribed.epoch":         messaging.Subscribed{JobID: "job-42", SubscribedAt: messaging.FormatTime(received), Epoch: "5f0c1d2e9a7b4c38"},
		"caught-up.position":       messaging.CaughtUp{JobID: "job-42", From: 1187, To: 1254, Replayed: 12, Source: messaging.SourceMongoDB, Position: "5f0c1d2e9a7b4c38:1254"},
		"gap.life":                 messaging.Gap{JobID: "job-42", Requested: 12, FirstAvailable: 1, Reason: messaging.GapEpoch, Epoch: "5f0c1d2e9a7b4c38"},
		"gap":                      messaging.Gap{JobID: "job-42", Requested: 12, FirstAvailable: 840, Reason: messaging.GapRetention},
		"gap.epoch":                messaging.Gap{JobID: "job-42", Requested: 12, FirstAvailable: 1, Reason: messaging.GapEpoch},
		"job-status-payload":       messaging.JobStatus{JobID: "job-42", EmittedAt: messaging.FormatTime(received), Status: "failed", Snapshot: json.RawMessage(`{"at":7}`)},
		"job-status-payload.empty": messaging.JobStatus{JobID: "job-42", EmittedAt: messaging.FormatTime(received), Status: "queued"},
		"error":                    messaging.NewProblem(messaging.CodeIdleTimeout),
		"error.limit":              limit,
		"error.retry":              full,
		"error.unsubscribe":        unsubscribe,
		"receipt":                  messaging.Receipt{ID: "e-1", JobID: "job-42", Sequence: 1188},
		"receipt.duplicate":        messaging.Receipt{ID: "e-1", JobID: "job-42", Sequence: 1188, Duplicate: true},
	}
}

func TestGoldenControl(t *testing.T) {
	t.Parallel()
	for name, payload := range controls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			compareFixture(t, "control", name+".json", text)
		})
	}
}

// fixtures returns the names in one folder of the fixtures.
func fixtures(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(golden, folder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if len(names) == 0 {
		t.Fatalf("no fixtures in %s/%s", golden, folder)
	}
	return names
}

func readFixture(t *testing.T, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compareFixture(t *testing.T, folder, name string, got []byte) {
	t.Helper()
	path := filepath.Join(golden, folder, name)
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && *addGolden {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}
