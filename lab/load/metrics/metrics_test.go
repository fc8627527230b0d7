package metrics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/load/metrics"
)

// page is what a gateway says, with a key of its own.
const page = `{"totalConnections":3,"totalSubscriptions":4,"connectionsPerOrigin":{"http://a":2,"unknown":1},"subscribersPerJob":{"j":4},
	"idleClients":3,"maxConnections":10,"maxConnectionsPerOrigin":5,"maxSubscriptionsPerClient":20,"idleTimeoutMs":2000,
	"lastCatchUp":{"j":{"jobId":"j","replayedEvents":120,"replaySource":"events","replayDurationMs":7,"recordedAt":"2026-03-01T00:00:00Z"}},"further":1}`

const prometheus = "# HELP go_goroutines Number.\ngo_goroutines 30\nprocess_resident_memory_bytes 1.5e+07\nprocess_open_fds 12\nprocess_cpu_seconds_total 2.5\nother{a=\"b\"} 1\n"

func serve(t *testing.T, page, prometheus string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/m", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, prometheus) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// The pages of several gateways are added up, limits are those of one, and keys
// that are unknown are kept.
func TestPages(t *testing.T) {
	t.Parallel()
	gateways := []string{serve(t, page, prometheus), serve(t, page, prometheus)}
	client := metrics.NewClient(gateways, "/m", "secret")
	got, err := client.Page(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.TotalConnections != 6 || got.ConnectionsPerOrigin["http://a"] != 4 || got.SubscribersPerJob["j"] != 8 || got.MaxConnections != 10 ||
		got.IdleTimeoutMs != 2000 || got.LastCatchUp["j"].ReplayedEvents != 120 {
		t.Errorf("got %+v", got)
	}
	text, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(text), `"further":2`) {
		t.Errorf("kept as %s, %v", text, err)
	}
	first, err := client.First(t.Context())
	if err != nil || first.TotalConnections != 3 {
		t.Errorf("the first: %+v, %v", first, err)
	}
	process, err := client.Process(t.Context())
	if want := (metrics.Process{MemoryBytes: 3e7, Descriptors: 24, Goroutines: 60, CPUSeconds: 5}); err != nil || process != want {
		t.Errorf("got %+v, %v", process, err)
	}
}

// Whichever gateway it was, the latest catch-up of a job is the last.
func TestLastCatchUpIsTheLatest(t *testing.T) {
	t.Parallel()
	older := strings.Replace(page, `{"j":{"jobId":"j"`, `{"k":{"jobId":"k","replayedEvents":1,"replaySource":"none","replayDurationMs":1,"recordedAt":""},"j":{"jobId":"j"`, 1)
	later := strings.NewReplacer(`"replayedEvents":120`, `"replayedEvents":7`, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00.001Z").Replace(page)
	for _, pages := range [][]string{{older, later}, {later, older}} {
		got, err := metrics.NewClient([]string{serve(t, pages[0], prometheus), serve(t, pages[1], prometheus)}, "/m", "secret").Page(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.LastCatchUp) != 2 || got.LastCatchUp["j"].ReplayedEvents != 7 || got.LastCatchUp["k"].ReplayedEvents != 1 {
			t.Errorf("got %+v", got.LastCatchUp)
		}
	}
}

// A page that breaks the contract is an error, and so is one that is not shown.
func TestBadPages(t *testing.T) {
	t.Parallel()
	if _, err := metrics.NewClient([]string{serve(t, page, "")}, "/m", "").Page(t.Context()); !errors.Is(err, metrics.ErrUnauthorised) {
		t.Errorf("without the token: %v", err)
	}
	for name, text := range map[string]string{
		"a key is missing": strings.Replace(page, "idleClients", "idle", 1),
		"a negative count": strings.Replace(page, `"totalConnections":3`, `"totalConnections":-3`, 1),
		"a fraction":       strings.Replace(page, `"totalConnections":3`, `"totalConnections":3.5`, 1),
		"no object":        "[]",
		"no JSON":          "<html>",
		"a text":           strings.Replace(page, `"totalConnections":3`, `"totalConnections":"3"`, 1),
	} {
		client := metrics.NewClient([]string{serve(t, text, "go_goroutines 1\n")}, "/m", "secret")
		if _, err := client.Page(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := client.Process(t.Context()); !errors.Is(err, metrics.ErrPage) {
			t.Errorf("a Prometheus page without the process: %v", err)
		}
	}
	if _, err := metrics.NewClient([]string{"http://127.0.0.1:1"}, "/m", "").Page(t.Context()); err == nil {
		t.Error("no server listens, and there is no error")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	load := func(name, text string) metrics.Page {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := metrics.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	base := load("base", page)
	target := load("target", strings.NewReplacer(`"totalConnections":3`, `"totalConnections":1000000`, `"j":4`, `"k":1`, `"further":1`, `"further":[1,2]`).Replace(page))
	var text bytes.Buffer
	differences := metrics.Compare(base, target, false)
	if err := metrics.Print(&text, differences); err != nil {
		t.Fatal(err)
	}
	want := "KEY                  BASE  TARGET   CHANGE\n" +
		"further              1     [1 2]    \n" +
		"subscribersPerJob.j  4     –        -4\n" +
		"subscribersPerJob.k  –     1        +1\n" +
		"totalConnections     3     1000000  +999997\n"
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	if all := metrics.Compare(base, target, true); len(all) <= len(differences) {
		t.Errorf("all are %d, those that changed %d", len(all), len(differences))
	}
	text.Reset()
	if err := metrics.Print(&text, metrics.Compare(base, base, false)); err != nil || text.String() != "nothing changed\n" {
		t.Errorf("the same page: %q, %v", text.String(), err)
	}
	if _, err := metrics.Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
